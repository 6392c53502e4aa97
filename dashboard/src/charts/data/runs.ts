// The runs whose charts a page shows.
import { ask } from "../../api/client";
import type { Offsets } from "../../api/offsets";
import type { RunState } from "../../api/types";
import type { AttemptTimes } from "../maths/axes";
import type { SeriesAnswer } from "./answers";
import type { ShownRun } from "../grid/lines";

/** More lines than this in one chart tell nothing. */
export const MOST_RUNS = 100;

export interface RunRow {
  run_id: string;
  name: string;
  state: RunState;
  created: number;
  started: number | null;
  params: Record<string, unknown>;
}

export interface RunQuestion {
  /** These runs, in this order ... */
  runs: readonly string[];
  /** ... or else those that match, newest first. */
  where: string;
  limit: number;
}

/** Runs that match, and whether there are more of them than `limit`. */
export interface FoundRuns {
  runs: readonly RunRow[];
  hasMore: boolean;
}

/** Read the runs; unknown ids are left out. */
export async function findRuns({ runs, where, limit }: RunQuestion, minOffsets: Offsets, signal: AbortSignal): Promise<FoundRuns> {
  const params = new URLSearchParams({ limit: String(limit), last: "0" });
  for (const [name, value] of Object.entries(topicOf({ runs, where, limit }))) params.set(name, value);
  const answer = await ask<{ runs: RunRow[]; next_page_token: string | null }>(`/v1/runs?${params}`, { minOffsets, signal });
  const rank = new Map(runs.map((run, at) => [run, at]));
  const sorted = runs.length ? answer.runs.sort((a, b) => rank.get(a.run_id)! - rank.get(b.run_id)!) : answer.runs;
  return { runs: sorted, hasMore: runs.length ? runs.length > limit : answer.next_page_token !== null };
}

/** What a question says to the API, as a search and as a topic of a stream. */
export function topicOf({ runs, where, limit }: RunQuestion): { where?: string; stage?: string } {
  if (runs.length) return { where: `run_id in (${runs.slice(0, limit).map(quoted).join(", ")})`, stage: "all" };
  return where.trim() ? { where } : {};
}

/** Text of a filter: in the quotes that it does not have itself. */
export function quoted(text: string): string {
  return text.includes("'") ? `"${text}"` : `'${text}'`;
}

/** A run as charts show it; times of attempts come later, when an axis needs them. */
export function shownRun(run: RunRow, colour: string | undefined, attempts: readonly AttemptTimes[] = []): ShownRun {
  const shown: ShownRun = { id: run.run_id, name: run.name || run.run_id, began: run.started ?? run.created, attempts };
  return colour === undefined ? shown : { ...shown, colour };
}

interface LogAttempt {
  start_time: string | null;
  end_time: string | null;
}

/** When the attempts of a run began and ended. */
export async function attemptsOf(run: string, signal: AbortSignal): Promise<AttemptTimes[]> {
  const log = await ask<{ steps: Record<string, { attempts: LogAttempt[] }> }>(
    `/v1/runs/${encodeURIComponent(run)}/log?max_series=1&max_points=1`,
    { signal },
  );
  const attempts = log.steps.main?.attempts ?? [];
  const found = attempts.filter((one) => one.start_time).map((one) => ({ began: micros(one.start_time!), ended: one.end_time ? micros(one.end_time) : null }));
  const ends = found.map(({ ended }, at) => (ended === null && found[at + 1] ? lastPointBefore(run, found[at + 1]!.began, signal) : ended));
  return Promise.all(found.map(async ({ began }, at) => ({ began, ended: await ends[at]! })));
}

/** When an attempt that was killed had its last point: nobody wrote down its end. null: it has none. */
async function lastPointBefore(run: string, time: number, signal: AbortSignal): Promise<number | null> {
  const range = { axis: "time", to: time - 1 };
  const { series } = await ask<SeriesAnswer>("/v1/series", { body: { runs: [run], match: { regex: "." }, range, buckets: 1, superseded: true }, signal });
  const columns = series.flatMap((one) => [one.columns, ...(one.attempts ?? []).map((attempt) => attempt.columns)]);
  const last = Math.max(...columns.flatMap(({ times }) => times.filter((one) => one < time)));
  return Number.isFinite(last) ? last : null;
}

/** µs of "YYYY-MM-DD HH:MM:SS.ffffff" in UTC. */
function micros(written: string): number {
  const [whole, part = "0"] = written.split(".");
  return Date.parse(`${whole!.replace(" ", "T")}Z`) * 1_000 + Number(part.padEnd(6, "0").slice(0, 6));
}
