// What a chart draws: lines, ready in the units of its axes. Pure.
import { nearest } from "../maths/axes";

/** A place on the x axis where values were not finite. */
export interface LineMark {
  x: number;
  count: number;
  kinds: readonly string[];
}

/** One line. Arrays are of one length, in the order in which points are joined. */
export interface Line {
  /** Unique in a chart. */
  key: string;
  /** The run or group that it belongs to: highlighted in all charts at once. */
  owner: string;
  label: string;
  colour: string;
  dash: readonly number[];
  xs: Float64Array;
  ys: Float64Array;
  /** x never goes back: most lines. Others (times after a restart, metrics) are searched in an order of their own. */
  isRising: boolean;
  /** Drawn instead of `ys`, which stay faint behind; null: no smoothing. */
  smoothed: Float64Array | null;
  band: { low: Float64Array; high: Float64Array } | null;
  marks: readonly LineMark[];
  /** Replaced by a later attempt: faint, and not in the tooltip's order. */
  isSuperseded: boolean;
  /** Steps and times (µs) of the points, for the tooltip. */
  steps: Float64Array | null;
  times: Float64Array | null;
}

/** A line's x in order, with where each was. */
interface Order {
  at: Uint32Array;
  xs: Float64Array;
}

const orders = new WeakMap<Float64Array, Order>();

/** Index of the point of a line nearest to `x`; -1 without one. */
export function nearestOf({ xs, isRising }: Line, x: number): number {
  if (isRising) return nearest(xs, x);
  let order = orders.get(xs);
  if (!order) {
    const at = Uint32Array.from(xs.keys()).filter((index) => Number.isFinite(xs[index]!));
    at.sort((a, b) => xs[a]! - xs[b]!);
    order = { at, xs: Float64Array.from(at, (index) => xs[index]!) };
    orders.set(xs, order);
  }
  return order.at[nearest(order.xs, x)] ?? -1;
}

/** Lowest and highest finite x of lines, marks included; null without one. */
export function xSpan(lines: readonly Line[], { positive = false } = {}): [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  const see = (x: number) => {
    if (!Number.isFinite(x) || (positive && x <= 0)) return;
    if (x < low) low = x;
    if (x > high) high = x;
  };
  for (const line of lines) {
    if (line.isRising && !positive && line.xs.length) {
      see(line.xs[0]!);
      see(line.xs[line.xs.length - 1]!);
    } else for (let i = 0; i < line.xs.length; i += 1) see(line.xs[i]!);
    for (const mark of line.marks) see(mark.x);
  }
  return low > high ? null : [low, high];
}

/** x of the point whose time is nearest to `time` (µs); null where no line has times. */
export function xOfTime(lines: readonly Line[], time: number): number | null {
  let [best, distance] = [null as number | null, Infinity];
  for (const { xs, times, isSuperseded } of lines) {
    if (!times?.length || isSuperseded) continue;
    const at = nearest(times, time);
    const away = Math.abs(times[at]! - time);
    if (away < distance) [best, distance] = [xs[at]!, away];
  }
  return best;
}

/** A point under the cursor. */
export interface Reading {
  line: Line;
  index: number;
  x: number;
  raw: number;
  /** The value that is drawn: smoothed, if the line is. */
  value: number;
}

/** Return what each line says at `x`, highest first; lines that end more than `reach` before it say nothing. */
export function readingsAt(lines: readonly Line[], x: number, reach: number): Reading[] {
  const found: Reading[] = [];
  for (const line of lines) {
    if (line.isSuperseded) continue;
    const index = nearestOf(line, x);
    const isInside = index > 0 && index < line.xs.length - 1;
    if (index < 0 || !(isInside || Math.abs(line.xs[index]! - x) <= reach)) continue;
    const raw = line.ys[index]!;
    found.push({ line, index, x: line.xs[index]!, raw, value: line.smoothed?.[index] ?? raw });
  }
  const rank = (value: number) => (Number.isNaN(value) ? -Infinity : value);
  return found.sort((a, b) => rank(b.value) - rank(a.value) || (a.line.label < b.line.label ? -1 : 1));
}
