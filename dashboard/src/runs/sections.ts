/** The lines of the table: runs, under a line for each group where they are grouped. Pure. */
import type { ReadonlySignal } from "@preact/signals";
import type { Key } from "./columns";
import type { KnownValue } from "./query";
import type { Row } from "./rows";

/** The part of Rows that lines need. */
export interface RowSource {
  readonly total: ReadonlySignal<number | null>;
  at(index: number): Row | undefined;
  want(first: number, last: number): void;
}

export interface Section {
  /** Value of the group as text; null: the table is not grouped. */
  group: string | null;
  /** As far as it is known before the rows are. */
  runs: number;
  isOpen: boolean;
  rows: RowSource;
}

/** One line: a run, or (`index` -1) the head of a group. */
export interface Line {
  section: Section;
  index: number;
}

/** Return how many lines a section has. */
export function lineCount(section: Section): number {
  const head = section.group === null ? 0 : 1;
  return head + (section.isOpen ? (section.rows.total.value ?? section.runs) : 0);
}

/** Return how many lines the table has. */
export function allLines(sections: readonly Section[]): number {
  return sections.reduce((sum, section) => sum + lineCount(section), 0);
}

/** Return a line by its number; undefined behind the end. */
export function lineAt(sections: readonly Section[], number: number): Line | undefined {
  let rest = number;
  for (const section of sections) {
    const count = lineCount(section);
    if (rest < count) return { section, index: section.group === null ? rest : rest - 1 };
    rest -= count;
  }
  return undefined;
}

/** Ask every section for the rows between these lines. */
export function wantLines(sections: readonly Section[], first: number, last: number): void {
  let start = 0;
  for (const section of sections) {
    const head = section.group === null ? 0 : 1;
    const count = lineCount(section);
    const from = Math.max(first - start - head, 0);
    const to = Math.min(last - start - head, count - head - 1);
    const isUnknown = section.isOpen && section.rows.total.value === null && first <= start + count && last >= start;
    if (section.isOpen && (to >= from || isUnknown)) section.rows.want(from, Math.max(to, from));
    start += count;
  }
}

/** Return a comparison that finds the runs of one group, as the filter language writes it. */
export function groupWhere(key: Key, value: unknown): string {
  const name = filterName(key);
  if (value === null || value === undefined) return `${name} is null`;
  return `${name} = ${typeof value === "number" ? value : quote(typeof value === "string" ? value : JSON.stringify(value))}`;
}

/** Write a name as the filter language does: "params.lr", "metrics.`my loss`", "state". */
export function filterName([kind, name]: Key): string {
  if (kind === "fact") return name;
  const words: Record<string, string> = { metric: "metrics", param: "params", tag: "tags", spark: "metrics" };
  return `${words[kind] ?? kind}.${/^[^\W\d][\w./:@-]*$/u.test(name) ? name : `\`${name.replaceAll("`", "``")}\``}`;
}

/** Write a text as the filter language does. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Join two filters so that both must hold. */
export function both(one: string, other: string): string {
  return one.trim() === "" ? other : `(${one}) and ${other}`;
}

/** Return how many runs are in none of the groups. */
export function withoutValue(total: number, values: readonly KnownValue[]): number {
  return Math.max(0, total - values.reduce((sum, one) => sum + one.runs, 0));
}
