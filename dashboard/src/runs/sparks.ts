/** Small charts in rows: points of the rows that can be seen, asked for together, and again when their runs have news. */
import { signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { ask } from "../api/client";
import { paced } from "../api/paced";
import { toNumber } from "../api/types";
import type { Numeric } from "../api/types";

const BUCKETS = 24; // each gives up to four points
const MOST_RUNS = 60; // of one question
const EVERY_MS = 250;
const AGAIN_MS = 1_000; // of runs that have news

export interface Spark {
  steps: readonly number[];
  values: readonly number[];
}

interface SeriesAnswer {
  series: { run_id: string; series: string; columns: { steps: number[]; values: Numeric[] } }[];
}

/** The small charts of a page, by series and run. */
export class Sparks {
  #found = new Map<string, Spark>();
  #seen: { run: string; series: string }[] = [];
  #stale = new Set<string>();
  #version = signal(0);
  #stop = new AbortController();
  #pace = paced(() => this.#load(), EVERY_MS);

  readonly version: ReadonlySignal<number> = this.#version;

  /** Return the points of a run's series; undefined until they are there. */
  of(run: string, series: string): Spark | undefined {
    return this.#found.get(keyOf(run, series));
  }

  /** Say which are looked at. */
  want(runs: readonly string[], series: readonly string[]): void {
    this.#seen = series.flatMap((one) => runs.map((run) => ({ run, series: one })));
    if (this.#seen.some(this.#isWanted)) this.#pace.ask();
  }

  /** Read those of these runs again: now those that are looked at, whose old ones stay until then. */
  again(runs: readonly string[]): void {
    const changed = new Set(runs);
    const seen = new Set(this.#seen.map(({ run, series }) => keyOf(run, series)));
    for (const key of this.#found.keys()) {
      if (!changed.has(runOf(key))) continue;
      if (seen.has(key)) this.#stale.add(key);
      else this.#found.delete(key);
    }
    if (this.#stale.size) this.#pace.ask(AGAIN_MS);
  }

  /** Read all again; those that are not looked at, when they are. */
  clear(): void {
    this.again([...this.#found.keys()].map(runOf));
  }

  stop(): void {
    this.#stop.abort();
    this.#pace.stop();
  }

  #isWanted = ({ run, series }: { run: string; series: string }): boolean => {
    const key = keyOf(run, series);
    return !this.#found.has(key) || this.#stale.has(key);
  };

  async #load(): Promise<void> {
    const wanted = this.#seen.filter(this.#isWanted);
    const series = wanted[0]?.series;
    if (series === undefined) return;
    const runs = wanted.filter((one) => one.series === series).slice(0, MOST_RUNS).map((one) => one.run);
    for (const run of runs) this.#stale.delete(keyOf(run, series)); // news that come from now on count anew
    try {
      const answer = await ask<SeriesAnswer>("/v1/series", { body: { runs, names: [series], buckets: BUCKETS }, signal: this.#stop.signal, retry: false });
      for (const run of runs) this.#found.set(keyOf(run, series), { steps: [], values: [] });
      for (const one of answer.series) this.#found.set(keyOf(one.run_id, series), { steps: one.columns.steps, values: one.columns.values.map(toNumber) });
      this.#version.value += 1;
    } catch {
      for (const run of runs) this.#stale.add(keyOf(run, series));
      return; // the table has its numbers; the small charts come with the next rows
    }
    if (this.#seen.some(this.#isWanted)) this.#pace.ask(0);
  }
}

function keyOf(run: string, series: string): string {
  return `${series}\n${run}`;
}

function runOf(key: string): string {
  return key.slice(key.lastIndexOf("\n") + 1);
}

/** Return the path of a line through the finite points in a box, y downwards; "" for none. */
export function sparkPath({ steps, values }: Spark, width: number, height: number): string {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return "";
  const low = finite.reduce((one, other) => Math.min(one, other));
  const high = finite.reduce((one, other) => Math.max(one, other));
  const first = steps[0] ?? 0;
  const span = (steps.at(-1) ?? first) - first || 1;
  const x = (step: number): number => Math.round(((step - first) / span) * width * 10) / 10;
  const y = (value: number): number => Math.round((high === low ? 0.5 : (high - value) / (high - low)) * height * 10) / 10;
  let path = "";
  let isDown = false;
  values.forEach((value, at) => {
    if (!Number.isFinite(value)) {
      isDown = false; // a gap where it was NaN
      return;
    }
    path += `${isDown ? "L" : "M"}${x(steps[at] ?? 0)} ${y(value)}`;
    isDown = true;
  });
  return path;
}
