// What the address says about the runs of a workspace.
import { field } from "../state/address";
import { json, list, number, text } from "../state/codecs";

export const RUNS = field("runs", list());
export const WHERE = field("where", text());
export const LIMIT = field("limit", number(20));
/** Runs without lines. */
export const HIDDEN = field("hide", list());
/** Hues that a person gave to runs. */
export const COLOURS = field("colours", json<Record<string, string>>({}, isTexts));
/** What runs are grouped by, such as param.lr. */
export const GROUP = field("group", list());

function isTexts(found: unknown): found is Record<string, string> {
  return typeof found === "object" && found !== null && Object.values(found).every((one) => typeof one === "string");
}

const KINDS = ["param", "tag", "fact"];

/** Keys of a grouping as the API takes them; what has no kind is a param. */
export function groupKeys(written: readonly string[]): [string, string][] {
  return written.map((one) => {
    const at = one.indexOf(".");
    const kind = one.slice(0, at);
    return KINDS.includes(kind) ? [kind, one.slice(at + 1)] : ["param", one];
  });
}
