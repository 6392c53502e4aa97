// Smoothing of a line whose points are not evenly spaced. Pure. Values that are not finite stay as they are.

export type Smoothing = "none" | "ema" | "gaussian";

const RESOLUTION = 1_000; // distances in x count in thousandths of the width of the line
const TABLE = 512; // values of the Gaussian kernel from 0 to REACH standard deviations
const REACH = 3;
const WIDEST = 0.02; // standard deviation of the Gaussian at amount 1, as a part of the width of the line

/** Smooth `ys` at `xs`. `amount` from 0 (nothing) to 1; null where there is nothing to smooth. */
export function smooth(kind: Smoothing, amount: number, xs: ArrayLike<number>, ys: ArrayLike<number>): Float64Array | null {
  if (kind === "none" || amount <= 0 || !ys.length) return null;
  return kind === "ema" ? ema(xs, ys, amount) : gaussian(xs, ys, amount);
}

/**
 * Exponential moving average by distance in x, without the bias of its start:
 * s_i = sum_{j<=i} w^d(i,j) y_j / sum_{j<=i} w^d(i,j), with d the distance in thousandths of the width of the line.
 *
 * Weights by distance: Eckner, "Algorithms for Unevenly Spaced Time Series: Moving Averages and Other Rolling
 * Operators" (2012), section 2. Division by the sum of weights: Kingma and Ba, "Adam" (2015), section 3.
 */
export function ema(xs: ArrayLike<number>, ys: ArrayLike<number>, amount: number): Float64Array {
  const weight = Math.min(Math.sqrt(amount), 0.999);
  const scale = RESOLUTION / (widthOf(xs) || 1);
  const smoothed = new Float64Array(ys.length);
  let [sum, weights, last] = [0, 0, NaN];
  for (let i = 0; i < ys.length; i += 1) {
    if (!Number.isFinite(ys[i]!)) {
      smoothed[i] = ys[i]!;
      continue;
    }
    const decay = Number.isNaN(last) ? 0 : weight ** (Math.abs(xs[i]! - last) * scale);
    last = xs[i]!;
    sum = sum * decay + ys[i]!;
    weights = weights * decay + 1;
    smoothed[i] = sum / weights;
  }
  return smoothed;
}

/** Mean of the points around, weighted by a Gaussian of their distance in x that is cut at three deviations. */
export function gaussian(xs: ArrayLike<number>, ys: ArrayLike<number>, amount: number): Float64Array {
  const deviation = WIDEST * Math.min(1, amount) * (widthOf(xs) || 1);
  const reach = REACH * deviation;
  const smoothed = new Float64Array(ys.length);
  let start = 0;
  for (let i = 0; i < ys.length; i += 1) {
    if (!Number.isFinite(ys[i]!)) {
      smoothed[i] = ys[i]!;
      continue;
    }
    while (start < i && Math.abs(xs[i]! - xs[start]!) > reach) start += 1;
    let [sum, weights] = [0, 0];
    for (let j = start; j < ys.length; j += 1) {
      const distance = Math.abs(xs[j]! - xs[i]!);
      if (distance > reach) {
        if (j > i) break;
        continue;
      }
      if (!Number.isFinite(ys[j]!)) continue;
      const weight = KERNEL[Math.round((distance / reach) * (TABLE - 1))]!;
      sum += ys[j]! * weight;
      weights += weight;
    }
    smoothed[i] = sum / weights;
  }
  return smoothed;
}

const KERNEL = Float64Array.from({ length: TABLE }, (_, i) => Math.exp(-(((REACH * i) / (TABLE - 1)) ** 2) / 2));

function widthOf(xs: ArrayLike<number>): number {
  return xs.length ? Math.abs(xs[xs.length - 1]! - xs[0]!) : 0;
}
