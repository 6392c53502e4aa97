/** Questions of the runs table to the API. */
import { ask } from "../api/client";
import type { Key, Sort } from "./columns";
import { writeKey } from "./columns";
import type { ReadWindow, Row } from "./rows";

/** Which runs, in which order, with which columns. */
export interface TableQuery {
  where: string;
  experiment: string | null;
  stage: string;
  sorts: readonly Sort[];
  keys: readonly Key[];
  /** A comparison besides `where`, for the rows of one group. */
  filter?: unknown;
}

/** The part of it that says which runs. */
export type Which = Pick<TableQuery, "where" | "experiment" | "filter"> & { stage?: string };

interface TableAnswer {
  as_of: string;
  run_ids: string[];
  columns: unknown[][];
  total: number | null;
}

/** What a name is known to hold, for the chooser of columns and the completion of filters. */
export interface KnownColumn {
  key: Key;
  types: string[];
  runs: number;
}

interface ColumnsAnswer {
  columns: KnownColumn[];
  /** false: there are more. */
  is_complete: boolean;
  as_of: string;
}

/** Facts that the page computes from others: the table asks for those. */
const COMPUTED: Readonly<Record<string, readonly string[]>> = { duration: ["started", "ended", "updated", "state"] };
/** Facts that every row needs, whatever is shown. */
const ALWAYS: readonly Key[] = [["fact", "state"], ["fact", "name"]];

const NEWEST: readonly Sort[] = [{ key: ["fact", "created"], descending: true }];

/** Return the keys that the API is asked for, so that these columns can be drawn. */
export function askedKeys(keys: readonly Key[]): Key[] {
  const found = new Map<string, Key>();
  for (const key of [...ALWAYS, ...keys.filter(([kind]) => kind !== "spark")]) {
    const parts = key[0] === "fact" ? COMPUTED[key[1]] : undefined;
    for (const one of parts ? parts.map((name): Key => ["fact", name]) : [key]) found.set(writeKey(one), one);
  }
  return [...found.values()];
}

/** Return the body of a question for runs, without its window. */
export function tableBody(query: TableQuery): Record<string, unknown> {
  return {
    ...whichRuns(query),
    order: query.sorts.length ? query.sorts : NEWEST,
    columns: askedKeys(query.keys),
  };
}

/** Return which runs a question is about. */
export function whichRuns({ where, experiment, stage, filter }: Which): Record<string, unknown> {
  return {
    ...(where.trim() !== "" && { where }),
    ...(experiment !== null && { experiment_ids: [experiment] }),
    ...(stage !== undefined && { stage }),
    ...(filter !== undefined && { filter }),
  };
}

/** Return what reads windows of this table. */
export function readTable(query: TableQuery): ReadWindow {
  const body = tableBody(query);
  const names = (body.columns as Key[]).map(writeKey);
  return async (offset, limit, stop) => {
    const answer = await ask<TableAnswer>("/v1/runs/table", { body: { ...body, offset, limit, total: true }, signal: stop });
    const rows = answer.run_ids.map(
      (id, at): Row => ({ id, values: Object.fromEntries(names.map((name, column) => [name, answer.columns[column]?.[at] ?? null])) }),
    );
    return { rows, total: answer.total ?? offset + rows.length, asOf: answer.as_of };
  };
}

/** Return the names that these runs have, facts first. */
export async function knownColumns(
  which: Which,
  { prefix = "", limit = 200, signal }: { prefix?: string; limit?: number; signal?: AbortSignal } = {},
): Promise<ColumnsAnswer> {
  const body = { ...whichRuns(which), ...(prefix && { prefix }), limit };
  return ask<ColumnsAnswer>("/v1/runs/columns", { body, ...(signal && { signal }) });
}

/** A value with the number of runs that have it. */
export interface KnownValue {
  value: unknown;
  runs: number;
}

interface ValuesAnswer {
  values: KnownValue[];
  /** false: there are more. */
  is_complete: boolean;
}

/** Return the values of a name in these runs, the most frequent first. */
export async function knownValues(
  key: Key,
  which: Which,
  { prefix = "", limit = 100, signal }: { prefix?: string; limit?: number; signal?: AbortSignal } = {},
): Promise<ValuesAnswer> {
  const body = { key, ...whichRuns(which), ...(prefix && { prefix }), limit };
  return ask<ValuesAnswer>("/v1/runs/values", { body, ...(signal && { signal }) });
}
