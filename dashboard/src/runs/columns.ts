/** Columns of the runs table: what they show, and how an address writes them. Pure. */
import type { Codec } from "../state/codecs";
import { joinList, splitList } from "../state/codecs";

/** What a column shows, as the API names it: ["fact", "state"], ["param", "lr"], ["metric", "loss", "min"]. */
export type Key = readonly [kind: string, name: string, which?: string];

export interface Column {
  key: Key;
  /** Stays at the left while the others move. */
  pinned?: boolean;
  /** CSS pixels; undefined: that of its kind. */
  width?: number;
}

export interface Sort {
  key: Key;
  descending: boolean;
}

export const MIN_WIDTH = 44;
export const MAX_WIDTH = 900;

const KINDS = new Set(["fact", "param", "tag", "label", "metric", "spark"]); // spark: a small chart of a metric
const WHICH = new Set(["min", "max", "first", "count"]); // of a metric; its last value needs no word

/** Columns that are shown while nobody has chosen any, before those of the runs' own names. */
export const FACTS: readonly Column[] = [
  { key: ["fact", "name"], pinned: true },
  { key: ["fact", "state"] },
  { key: ["fact", "experiment"] },
  { key: ["fact", "created"] },
  { key: ["fact", "duration"] },
];

/** All facts that a column may show, with what people call them. */
export const FACT_LABELS: Readonly<Record<string, string>> = {
  name: "run",
  run_id: "run id",
  state: "state",
  experiment: "experiment",
  group: "group",
  tag: "seed tag",
  created: "created",
  started: "started",
  ended: "ended",
  updated: "updated",
  duration: "duration",
  attempt: "attempt",
  points: "points",
  message: "message",
  note: "note",
  parent_run_id: "parent",
};

const WIDTHS: Readonly<Record<string, number>> = {
  name: 240, run_id: 250, state: 96, experiment: 120, group: 110, tag: 110, message: 240, note: 240, created: 112, started: 112, ended: 112,
  updated: 112, duration: 104, attempt: 70, points: 90, parent_run_id: 200,
};

/** Return the width of a column in CSS pixels. */
export function widthOf(column: Column): number {
  if (column.width !== undefined) return column.width;
  const [kind, name] = column.key;
  if (kind === "fact") return WIDTHS[name] ?? 120;
  return kind === "metric" ? 128 : kind === "spark" ? 140 : 120;
}

/** Return what a column is called above the table. */
export function labelOf([kind, name, which]: Key): string {
  if (kind === "fact") return FACT_LABELS[name] ?? name;
  return which === undefined || which === "last" ? name : `${which} ${name}`;
}

/** Whether two keys show the same. */
export function sameKey(one: Key, other: Key): boolean {
  return writeKey(one) === writeKey(other);
}

/** Write a key: "fact:state", "metric:loss", "min:loss". */
export function writeKey([kind, name, which]: Key): string {
  return kind === "metric" && which !== undefined && which !== "last" ? `${which}:${name}` : `${kind}:${name}`;
}

/** Read what `writeKey` wrote; null for anything else. */
export function readKey(text: string): Key | null {
  const colon = text.indexOf(":");
  const kind = text.slice(0, colon);
  const name = text.slice(colon + 1);
  if (colon < 1 || name === "") return null;
  if (WHICH.has(kind)) return ["metric", name, kind];
  return KINDS.has(kind) ? [kind, name] : null;
}

/** Columns in an address: "!fact:name~240,metric:loss": pinned with "!", a width after "~". null: nobody has chosen. */
export const columnsCodec: Codec<readonly Column[] | null> = {
  read: (text) => {
    if (text === null) return null;
    const seen = new Set<string>();
    const found = splitList(text).flatMap((one) => readColumn(one) ?? []);
    return found.filter((one) => !seen.has(writeKey(one.key)) && seen.add(writeKey(one.key)));
  },
  write: (columns) => (columns === null ? null : joinList(columns.map(writeColumn))),
};

function readColumn(text: string): Column | null {
  const pinned = text.startsWith("!");
  const width = /~(\d{1,4})$/.exec(text);
  const key = readKey(text.slice(pinned ? 1 : 0, width ? width.index : undefined));
  if (!key) return null;
  return { key, ...(pinned && { pinned }), ...(width && Number(width[1]) > 0 && { width: clampWidth(Number(width[1])) }) };
}

function writeColumn({ key, pinned, width }: Column): string {
  const name = writeKey(key);
  const end = width !== undefined ? `~${Math.round(width)}` : /~\d{1,4}$/.test(name) ? "~0" : "";
  return `${pinned ? "!" : ""}${name}${end}`;
}

/** Sorts in an address: "-metric:loss,fact:created", "-" for descending. */
export const sortsCodec: Codec<readonly Sort[]> = {
  read: (text) =>
    splitList(text ?? "").flatMap((one) => {
      const descending = one.startsWith("-");
      const key = readKey(descending ? one.slice(1) : one);
      return key ? [{ key, descending }] : [];
    }),
  write: (sorts) => (sorts.length ? joinList(sorts.map(({ key, descending }) => `${descending ? "-" : ""}${writeKey(key)}`)) : null),
};

/** One key in an address. */
export const keyCodec: Codec<Key | null> = { read: (text) => readKey(text ?? ""), write: (key) => key && writeKey(key) };

/** Whether rows can be sorted by it. */
export function isSortable([kind]: Key): boolean {
  return kind !== "spark" && kind !== "label";
}

/** Keep a width where a column can be read and grasped. */
export function clampWidth(width: number): number {
  return Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, Math.round(width)));
}

/** Return the columns in the order in which they are drawn: pinned ones first. */
export function inOrder(columns: readonly Column[]): Column[] {
  return [...columns.filter((one) => one.pinned), ...columns.filter((one) => !one.pinned)];
}

/** Move a column to the place of another; it is pinned where that one is. */
export function moveTo(columns: readonly Column[], key: Key, target: Key): Column[] {
  const drawn = inOrder(columns);
  const from = drawn.findIndex((one) => sameKey(one.key, key));
  const to = drawn.findIndex((one) => sameKey(one.key, target));
  const moved = drawn[from];
  const place = drawn[to];
  if (!moved || !place || from === to) return drawn;
  drawn.splice(from, 1);
  drawn.splice(to, 0, withPin(moved, place.pinned ?? false));
  return drawn;
}

/** Move a column one place; at the edge of the pinned ones it joins or leaves them first. */
export function moveBy(columns: readonly Column[], key: Key, by: -1 | 1): Column[] {
  const drawn = inOrder(columns);
  const at = drawn.findIndex((one) => sameKey(one.key, key));
  const moved = drawn[at];
  const next = drawn[at + by];
  if (!moved || !next) return drawn;
  if ((next.pinned ?? false) !== (moved.pinned ?? false)) drawn[at] = withPin(moved, next.pinned ?? false);
  else [drawn[at], drawn[at + by]] = [next, moved];
  return drawn;
}

/** Change one column. */
export function withColumn(columns: readonly Column[], key: Key, change: (column: Column) => Column): Column[] {
  return columns.map((one) => (sameKey(one.key, key) ? change(one) : one));
}

/** Return the column pinned or not. */
export function withPin(column: Column, pinned: boolean): Column {
  const { pinned: _, ...rest } = column;
  return pinned ? { ...rest, pinned } : rest;
}

/** Sort by a column: ascending, descending, not; alone, or (`more`) after the columns sorted by already. */
export function nextSorts(sorts: readonly Sort[], key: Key, more: boolean): Sort[] {
  const now = sorts.find((one) => sameKey(one.key, key));
  const next = !now ? [{ key, descending: false }] : now.descending ? [] : [{ key, descending: true }];
  if (!more) return next;
  return now ? sorts.flatMap((one) => (one === now ? next : [one])) : [...sorts, ...next];
}
