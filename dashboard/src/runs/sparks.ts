/** Small charts in rows: points of the rows that can be seen, asked for together, and continued by the stream. */
import { signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { ask } from "../api/client";
import { paced } from "../api/paced";
import { toNumber } from "../api/types";
import type { Numeric, StreamEvent } from "../api/types";

const BUCKETS = 24; // each gives up to four points
const MOST_POINTS = 160;
const MOST_RUNS = 60; // of one question
const EVERY_MS = 250;

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
  #wanted: { run: string; series: string }[] = [];
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
    this.#wanted = series.flatMap((one) => runs.filter((run) => !this.#found.has(keyOf(run, one))).map((run) => ({ run, series: one })));
    if (this.#wanted.length) this.#pace.ask();
  }

  /** Continue those that an event has points of. */
  take(event: StreamEvent): void {
    for (const { series, points } of event.series ?? []) {
      const now = this.#found.get(keyOf(event.run_id, series));
      if (!now) continue;
      const last = now.steps.at(-1) ?? -Infinity;
      const later = points.filter(([step]) => step > last);
      if (!later.length) continue;
      this.#found.set(keyOf(event.run_id, series), thin({ steps: [...now.steps, ...later.map(([step]) => step)], values: [...now.values, ...later.map(([, , value]) => toNumber(value))] }));
      this.#version.value += 1;
    }
  }

  /** Forget all: they are read again when they are looked at. */
  clear(): void {
    this.#found.clear();
    this.#version.value += 1;
  }

  stop(): void {
    this.#stop.abort();
    this.#pace.stop();
  }

  async #load(): Promise<void> {
    const wanted = this.#wanted.filter(({ run, series }) => !this.#found.has(keyOf(run, series)));
    const series = wanted[0]?.series;
    if (series === undefined) return;
    const runs = wanted.filter((one) => one.series === series).slice(0, MOST_RUNS).map((one) => one.run);
    try {
      const answer = await ask<SeriesAnswer>("/v1/series", { body: { runs, names: [series], buckets: BUCKETS }, signal: this.#stop.signal, retry: false });
      for (const run of runs) this.#found.set(keyOf(run, series), { steps: [], values: [] });
      for (const one of answer.series) this.#found.set(keyOf(one.run_id, series), { steps: one.columns.steps, values: one.columns.values.map(toNumber) });
      this.#version.value += 1;
    } catch {
      return; // the table has its numbers; the small charts come with the next rows
    }
    if (this.#wanted.some((one) => !this.#found.has(keyOf(one.run, one.series)))) this.#pace.ask(0);
  }
}

function keyOf(run: string, series: string): string {
  return `${series}\n${run}`;
}

/** Leave out every second point of the older half when there are too many. */
export function thin(spark: Spark): Spark {
  if (spark.steps.length <= MOST_POINTS) return spark;
  const half = spark.steps.length / 2;
  const keep = (_: number, at: number): boolean => at >= half || at % 2 === 0;
  return { steps: spark.steps.filter(keep), values: spark.values.filter(keep) };
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
