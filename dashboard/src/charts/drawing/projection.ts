// From values to pixels. Pure.
import { forward, type ScaleKind } from "../maths/scales";

/** One axis: `kind` between `min` at pixel `start` and `max` at pixel `end`. */
export interface AxisView {
  kind: ScaleKind;
  min: number;
  max: number;
  threshold: number; // of symlog
  start: number;
  end: number;
}

/** Return the function from a value to its pixel; NaN where the axis has no place for it. */
export function projection(axis: AxisView): (value: number) => number {
  const transform = forward(axis.kind, axis.threshold);
  const [from, to] = [transform(axis.min), transform(axis.max)];
  const scale = (axis.end - axis.start) / (to - from || 1);
  if (axis.kind === "linear") return (value) => axis.start + (value - from) * scale;
  return (value) => {
    const at = transform(value);
    return Number.isFinite(at) ? axis.start + (at - from) * scale : NaN;
  };
}

const FLAT = 0.75; // pixels: less than that in one column is one point

/** Where a line is drawn to: a canvas context, or a text of SVG. */
export interface Pen {
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
}

/**
 * Draw a line with at most four points in a column of pixels: first, lowest, highest and last, so that a spike
 * between a million points shows. Breaks at values that are not finite. Calls `dot` for a point without neighbours.
 */
export function trace(
  pen: Pen,
  xs: Float64Array,
  ys: Float64Array,
  toX: (x: number) => number,
  toY: (y: number) => number,
  [from, to]: readonly [number, number],
  dot: (x: number, y: number) => void = () => {},
): void {
  let column = NaN;
  let [first, low, high, last] = [NaN, NaN, NaN, NaN];
  let drawn = 0; // columns since the last break
  const flush = () => {
    if (Number.isNaN(column)) return;
    if (drawn) pen.lineTo(column, first);
    else pen.moveTo(column, first);
    if (high - low > FLAT) {
      pen.lineTo(column, low);
      pen.lineTo(column, high);
      if (last !== high) pen.lineTo(column, last);
    }
    drawn += 1;
  };
  const end = () => {
    flush();
    if (drawn === 1 && high - low <= FLAT) dot(column, first);
    column = NaN;
    drawn = 0;
  };
  for (let i = from; i < to; i += 1) {
    const x = Math.round(toX(xs[i]!));
    const y = toY(ys[i]!);
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      end();
      continue;
    }
    if (x !== column) {
      flush();
      column = x;
      first = low = high = y;
    } else if (y < low) low = y;
    else if (y > high) high = y;
    last = y;
  }
  end();
}

/** The part of a line between `min` and `max`, with a neighbour on each side; all of it if x goes back. */
export function visible(xs: Float64Array, min: number, max: number, rising: boolean): [number, number] {
  if (!rising) return [0, xs.length];
  return [Math.max(0, firstFrom(xs, min) - 1), Math.min(xs.length, firstFrom(xs, max) + 1)];
}

function firstFrom(xs: Float64Array, x: number): number {
  let [low, high] = [0, xs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle]! < x) low = middle + 1;
    else high = middle;
  }
  return low;
}
