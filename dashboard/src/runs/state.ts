/** What the runs table shows: all of it is in the address. */
import { computed, signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { match } from "../app/router";
import { change, field, path } from "../state/address";
import { choice, list, text } from "../state/codecs";
import { FACTS, columnsCodec, inOrder, keyCodec, sortsCodec } from "./columns";
import type { Column, Key } from "./columns";
import type { KnownColumn, TableQuery } from "./query";

const MOST_PARAMS = 4; // shown while nobody has chosen columns
const MOST_METRICS = 5;
export const MOST_SELECTED = 1_000; // of one question of the API

export const where = field("where", text());
export const chosenColumns = field("cols", columnsCodec);
export const sorts = field("sort", sortsCodec);
export const groupBy = field("group", keyCodec);
/** Groups that are shut, by their value. */
export const shut = field("shut", list());
export const stage = field("stage", choice(["active", "deleted", "all"] as const));
export const selected = field("sel", list());
/** The run that others are compared with. */
export const baseline = field("base", text());

/** The experiment that the address names; null: all. */
export const experiment: ReadonlySignal<string | null> = computed(() => match("/experiments/{id}", path.value)?.id ?? null);
/** Names that the runs are known to have; null until they are read. */
export const known = signal<readonly KnownColumn[] | null>(null);

/** The columns in the order in which they are drawn. */
export const columns: ReadonlySignal<readonly Column[]> = computed(() => inOrder(chosenColumns.value ?? usualColumns(known.value ?? [])));

/** Return the columns to show while nobody has chosen any: facts, and the names that most runs have. */
export function usualColumns(names: readonly KnownColumn[]): Column[] {
  const isOwn = ({ key: [, name] }: KnownColumn): boolean => !name.startsWith("system/") && !name.startsWith("gateway");
  const most = (kind: string, count: number): Column[] =>
    names.filter((one) => one.key[0] === kind && isOwn(one)).sort((one, other) => other.runs - one.runs).slice(0, count).map(({ key }) => ({ key }));
  return [...FACTS, ...most("metric", MOST_METRICS), ...most("param", MOST_PARAMS)];
}

/** Which runs the table asks for; a change of anything here reads the rows again. */
export const tableQuery: ReadonlySignal<TableQuery> = computed(() => ({
  where: where.value,
  experiment: experiment.value,
  stage: stage.value,
  sorts: sorts.value,
  keys: columns.value.map((one) => one.key),
}));

/** Set the columns, as one entry of the history. */
export function setColumns(next: readonly Column[], { replace = false } = {}): void {
  if (replace) chosenColumns.replace(next);
  else chosenColumns.value = next;
}

/** Group by a column, or (null) by none. */
export function setGroup(key: Key | null): void {
  change([groupBy.written(key), shut.written([])]);
}

/** Select a run or not. */
export function toggle(id: string): void {
  const now = selected.peek();
  if (now.includes(id)) selected.replace(now.filter((one) => one !== id));
  else select([id]);
}

/** Select runs besides those that are. False: they are too many, and not all are. */
export function select(ids: readonly string[]): boolean {
  const all = [...new Set([...selected.peek(), ...ids])];
  selected.replace(all.slice(0, MOST_SELECTED));
  return all.length <= MOST_SELECTED;
}
