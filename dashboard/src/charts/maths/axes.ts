// The x axes of a chart. Pure.
import type { Points } from "./points";

/** step; time of day; seconds since the run began; seconds while attempts ran; or a metric, joined by step. */
export type XAxis = "step" | "time" | "relative" | "process" | `metric:${string}`;

/** When the attempts of a run began and ended, in µs; in order. */
export interface AttemptTimes {
  began: number;
  ended: number | null;
}

/** What an axis needs to know of the run of a series. */
export interface RunTimes {
  began: number;
  attempts: readonly AttemptTimes[];
}

const SECOND = 1e6; // µs

/** Return the function from a step and a time to x; NaN where the axis has none. `other` is the series of `metric:`. */
export function xFunction(axis: XAxis, run: RunTimes, other?: Points): (step: number, time: number) => number {
  if (axis === "step") return (step) => step;
  if (axis === "time") return (_, time) => time / SECOND;
  if (axis === "relative") return (_, time) => (time - run.began) / SECOND;
  if (axis === "process") {
    const clock = processClock(run);
    return (_, time) => clock(time);
  }
  return (step) => (other ? valueAt(other, step) : NaN);
}

/** x of each point of a series. */
export function xColumn(axis: XAxis, points: Points, run: RunTimes, other?: Points): Float64Array {
  const { steps, times, length } = points;
  if (axis === "step") return steps.subarray(0, length);
  const toX = xFunction(axis, run, other);
  const xs = new Float64Array(length);
  for (let i = 0; i < length; i += 1) xs[i] = toX(steps[i]!, times[i]!);
  return xs;
}

/** Seconds that attempts had run at a time: the pauses between them count nothing. */
export function processClock(run: RunTimes): (time: number) => number {
  const attempts = run.attempts.length ? run.attempts : [{ began: run.began, ended: null }];
  return (time) => {
    let ran = 0;
    for (let i = 0; i < attempts.length; i += 1) {
      const { began, ended } = attempts[i]!;
      const next = attempts[i + 1]?.began ?? Infinity;
      const end = i === attempts.length - 1 ? Infinity : Math.min(ended ?? next, next);
      ran += Math.max(0, Math.min(time, end) - began);
      if (time < next) break;
    }
    return ran / SECOND;
  };
}

/** Seconds since a run began at which its attempts had run for so long: `processClock` backwards. */
export function sinceBegin(run: RunTimes, ran: number): number {
  const attempts = run.attempts.length ? run.attempts : [{ began: run.began, ended: null }];
  let before = 0; // seconds of the attempts before
  for (let i = 0; i < attempts.length - 1; i += 1) {
    const { began, ended } = attempts[i]!;
    const next = attempts[i + 1]!.began;
    const length = Math.max(0, Math.min(ended ?? next, next) - began) / SECOND;
    if (ran < before + length) return (began - run.began) / SECOND + ran - before;
    before += length;
  }
  return (attempts.at(-1)!.began - run.began) / SECOND + ran - before;
}

/** First and last step at which a series, joined linearly, has values between `from` and `to`; null: nowhere. */
export function stepsBetween({ steps, values, length }: Points, from: number, to: number): [number, number] | null {
  let [first, last] = [Infinity, -Infinity];
  for (let i = 0; i < length; i += 1) {
    const next = Math.min(i + 1, length - 1);
    const [low, high] = [Math.min(values[i]!, values[next]!), Math.max(values[i]!, values[next]!)];
    if (!(high >= from && low <= to)) continue;
    first = Math.min(first, steps[i]!, steps[next]!);
    last = Math.max(last, steps[i]!, steps[next]!);
  }
  return first > last ? null : [first, last];
}

/** Value of a series at a step; between two points linearly, outside its steps NaN. */
export function valueAt(points: Points, step: number): number {
  const at = points.atStep(step);
  if (at >= points.length) return NaN;
  const after = points.steps[at]!;
  if (after === step) return points.values[at]!;
  if (!at) return NaN;
  const before = points.steps[at - 1]!;
  const part = (step - before) / (after - before);
  return points.values[at - 1]! * (1 - part) + points.values[at]! * part;
}

/** Index of the point nearest to `x`, of any order; -1 without one. */
export function nearest(xs: ArrayLike<number>, x: number): number {
  if (!xs.length) return -1;
  let [low, high] = [0, xs.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle]! < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && Math.abs(x - xs[low - 1]!) <= Math.abs(xs[low]! - x) ? low - 1 : low;
}

/** A line whose x goes back (times after a restart, metrics) cannot be searched by halves: sort it by x for that. */
export function isRising(xs: ArrayLike<number>): boolean {
  for (let i = 1; i < xs.length; i += 1) if (!(xs[i]! >= xs[i - 1]!)) return false; // NaN is no order
  return true;
}
