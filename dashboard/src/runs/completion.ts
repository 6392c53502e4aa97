/** What may be written where the caret stands in a filter: the API knows the language, and which names and values there are. */
import { ask } from "../api/client";
import { value as valueText } from "../components/text";
import type { Key } from "./columns";
import { knownColumns, knownValues } from "./query";
import { filterName, quote } from "./sections";

const MOST_SHOWN = 14;
const NAMED = new Set(["metric", "param", "tag"]);

/** Whether a filter can be read, and what may stand at a place in it. Positions are in UTF-16 units, as those of a text box. */
export interface Check {
  ok: boolean;
  from: number;
  to: number;
  message: string;
  /** null: what is before the place is wrong. */
  follow: { start: number; words: readonly string[]; key: Key | null; name: readonly [kind: string, beginning: string] | null } | null;
}

export interface Choice {
  text: string;
  hint: string;
}

interface CheckAnswer {
  ok: boolean;
  position: number | null;
  end: number | null;
  message: string | null;
  follow: Check["follow"];
}

/** Ask whether the text is a filter, and what may follow at the caret. */
export async function check(text: string, caret: number, signal: AbortSignal): Promise<Check> {
  const body = { where: text, position: toPoints(text, caret) };
  const answer = await ask<CheckAnswer>("/v1/filters/check", { body, signal, retry: false, needsFold: false });
  return {
    ok: answer.ok,
    from: toUnits(text, answer.position ?? 0),
    to: toUnits(text, answer.end ?? answer.position ?? 0),
    message: answer.message ?? "",
    follow: answer.follow && { ...answer.follow, start: toUnits(text, answer.follow.start) },
  };
}

/** Return what may be put between `follow.start` and the caret. */
export async function choices(text: string, caret: number, found: Check, experiment: string | null, signal: AbortSignal): Promise<Choice[]> {
  const { follow } = found;
  if (!follow) return [];
  const typed = text.slice(follow.start, caret);
  const which = { where: "", experiment };
  const words = follow.words.map((word) => ({ text: word, hint: "" }));
  if (follow.name) {
    const [kind, prefix] = follow.name;
    const { columns: names } = await knownColumns(which, { prefix, limit: 200, signal });
    return fit(names.filter((one) => one.key[0] === kind).map(nameChoice), "");
  }
  if (follow.key && takesValues(follow.words, follow.key)) {
    const { values } = await knownValues(follow.key, which, { limit: 50, signal });
    return fit(values.map((one) => ({ text: typeof one.value === "number" ? String(one.value) : quote(valueText(one.value)), hint: runs(one.runs) })), typed);
  }
  if (words.length || follow.key || typed === "") return withNames(words, typed, which, signal);
  const before = await check(text, follow.start, signal); // a name that begins with no word of the language
  return before.follow?.words.includes("metrics.") ? withNames([], typed, which, signal) : [];
}

/** Whole names besides the words, where names may stand. */
async function withNames(words: Choice[], typed: string, which: { where: string; experiment: string | null }, signal: AbortSignal): Promise<Choice[]> {
  const mayBeName = words.some((one) => one.text === "metrics.") || (typed !== "" && !words.some((one) => one.text === "and" || one.text === "or"));
  if (!mayBeName || (words.length && !typed && !words.some((one) => one.text === "metrics."))) return words.slice(0, MOST_SHOWN);
  const names = (await knownColumns(which, { limit: 500, signal })).columns.filter((one) => NAMED.has(one.key[0])).map(nameChoice);
  return fit([...names, ...words], typed);
}

/** Whether a value of the key is expected: then the words, if any, are not operators. */
function takesValues(words: readonly string[], key: Key): boolean {
  if (key[0] === "metric" || words.includes("=") || words.includes("is null")) return false;
  return words.length === 0 || words.includes("true");
}

function nameChoice({ key, runs: count }: { key: Key; runs: number }): Choice {
  return { text: filterName(key), hint: runs(count) };
}

function runs(count: number): string {
  return count === 1 ? "1 run" : `${count.toLocaleString("en")} runs`;
}

/** The choices in which the typed text occurs; those that begin with it come first. */
export function fit(all: readonly Choice[], typed: string): Choice[] {
  const bare = typed.toLowerCase().replace(/^['"`]/, "");
  const text = (one: Choice): string => one.text.toLowerCase().replace(/^['"`]/, "");
  const found = all.filter((one) => text(one).includes(bare) && one.text !== typed);
  return [...found.filter((one) => text(one).startsWith(bare)), ...found.filter((one) => !text(one).startsWith(bare))].slice(0, MOST_SHOWN);
}

/** Return the text with a choice put in, and where the caret is then. */
export function complete(text: string, start: number, caret: number, choice: string): { text: string; caret: number } {
  const space = /[.(]$/.test(choice) ? "" : " ";
  const rest = text.slice(caret).replace(/^[\w./:@-]*['"`]?\s?/, "");
  return { text: text.slice(0, start) + choice + space + rest, caret: start + choice.length + space.length };
}

/** Characters as the API counts them before a place in UTF-16 units. */
export function toPoints(text: string, units: number): number {
  return [...text.slice(0, units)].length;
}

/** The place in UTF-16 units after so many characters. */
export function toUnits(text: string, points: number): number {
  return [...text].slice(0, points).join("").length;
}
