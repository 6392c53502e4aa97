// How a row of differences writes its values. Pure.
import { duration, durationExact, moment, momentExact, value as plain } from "../components/text";

const DIGITS = 8;

export const TIMES: ReadonlySet<string> = new Set(["began", "created", "started", "ended", "updated"]);

/** The texts of a row, with all digits where short texts hide a difference. Times and lengths of time are numbers of µs. */
export function rowTexts(section: string, key: string, values: readonly unknown[]): string[] {
  const kind = kindOf(section, key);
  const texts = values.map((value) => textOf(kind, value, false));
  const hides = texts.some((text, at) => texts.some((other, to) => text === other && values[at] !== values[to]));
  return hides ? values.map((value) => textOf(kind, value, true)) : texts;
}

type Kind = "moment" | "duration" | "";

function kindOf(section: string, key: string): Kind {
  if (section === "facts" && TIMES.has(key)) return "moment";
  return (section === "facts" && key === "duration") || (section === "attempts" && key.endsWith(".duration")) ? "duration" : "";
}

function textOf(kind: Kind, value: unknown, isExact: boolean): string {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value !== "number") return typeof value === "string" ? value : JSON.stringify(value);
  if (kind === "moment") return isExact ? momentExact(value) : moment(value);
  if (kind === "duration") return isExact ? durationExact(value) : duration(value);
  return isExact ? String(value) : plain(value, DIGITS);
}
