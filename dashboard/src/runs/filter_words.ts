/**
 * What may be completed where the caret stands in a filter. Pure.
 *
 * The text is cut into tokens as the API cuts it (consumers/store/search/filter.py); whether it is right is the API's
 * to say (POST /v1/filters/check).
 */
import type { Key } from "./columns";

export interface Token {
  kind: "word" | "quoted" | "number" | "sign";
  text: string;
  from: number;
  to: number;
}

/** The part of the text that a completion replaces, and what belongs there. */
export interface Place {
  expects: "name" | "operator" | "value" | "joint";
  /** Typed so far. */
  prefix: string;
  from: number;
  to: number;
  /** Whose values are expected. */
  key: Key | null;
}

const TOKEN = /(?<word>[^\W\d][\w./:@-]*(?:`(?:[^`]|``)*`?)?)|(?<quoted>'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?)|(?<sign><=|>=|!=|<>|==|[=<>(),])|(?<number>[+-]?[\d.][\w.+-]*)/gu;
const OPERATORS = new Set(["=", "==", "!=", "<>", "<", "<=", ">", ">=", "like", "ilike", "in", "is"]);
const KINDS: Readonly<Record<string, string>> = {
  metrics: "metric", metric: "metric", params: "param", param: "param", parameters: "param", parameter: "param", tags: "tag", tag: "tag",
  attributes: "fact", attribute: "fact", attr: "fact", run: "fact",
};

/** Cut a filter into tokens; what fits none is left out. */
export function tokens(text: string): Token[] {
  return [...text.matchAll(TOKEN)].map((match) => {
    const kind = match.groups?.word !== undefined ? "word" : match.groups?.quoted !== undefined ? "quoted" : match.groups?.sign !== undefined ? "sign" : "number";
    return { kind, text: match[0], from: match.index, to: match.index + match[0].length };
  });
}

/** Return what may be written where the caret stands. */
export function placeOf(text: string, caret: number): Place {
  const all = tokens(text);
  const under = all.find((one) => one.kind !== "sign" && one.from < caret && caret <= one.to);
  const before = all.filter((one) => (under ? one.to <= under.from : one.to <= caret));
  const place = { prefix: under ? text.slice(under.from, caret) : "", from: under?.from ?? caret, to: under?.to ?? caret };
  let expects: Place["expects"] = "name";
  let key: Key | null = null;
  let isList = false;
  for (const one of before) {
    const word = one.text.toLowerCase();
    if (expects === "name") {
      if (word === "not" || word === "(") continue;
      key = keyOf(one.text);
      expects = "operator";
    } else if (expects === "operator") {
      if (word === "not") continue;
      if (OPERATORS.has(word)) expects = "value";
      isList = false;
    } else if (expects === "value") {
      if (word === "not") continue;
      if (word === "(") isList = true;
      else if (word === ")") isList = false;
      if (!isList) expects = "joint";
    } else if (word === "and" || word === "or") {
      expects = "name";
      key = null;
    }
  }
  return { expects, ...place, key: expects === "name" || expects === "joint" ? null : key };
}

/** Return the key that a name in a filter means. */
export function keyOf(name: string): Key | null {
  const dot = name.indexOf(".");
  const kind = dot > 0 ? KINDS[name.slice(0, dot).toLowerCase()] : undefined;
  if (!kind) return dot < 0 ? ["fact", unquote(name)] : null;
  const rest = unquote(name.slice(dot + 1));
  return rest === "" ? null : [kind, rest];
}

function unquote(text: string): string {
  const mark = text[0];
  if (mark !== "`" && mark !== '"' && mark !== "'") return text;
  return text.slice(1, text.length > 1 && text.endsWith(mark) ? -1 : undefined).replaceAll(mark + mark, mark);
}

/** Return the operators that compare a key. */
export function operatorsOf(key: Key | null): string[] {
  const numbers = ["=", "!=", "<", "<=", ">", ">="];
  if (key?.[0] === "metric") return numbers;
  if (key?.[0] === "param") return [...numbers, "like", "ilike", "in", "is null"];
  if (key?.[0] === "fact" && ["created", "started", "ended", "updated", "points", "attempt"].includes(key[1])) return numbers;
  return ["=", "!=", "like", "ilike", "in", "not in", "is null", "is not null"];
}

/** Return the text with the place replaced, and where the caret is then. */
export function complete(text: string, place: Place, words: string): { text: string; caret: number } {
  const next = `${text.slice(0, place.from)}${words} ${text.slice(place.to).replace(/^\s/, "")}`;
  return { text: next, caret: place.from + words.length + 1 };
}
