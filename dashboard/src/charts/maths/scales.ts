// Ranges of the axes, and the rule for values far outside. Pure.

export type ScaleKind = "linear" | "log" | "symlog";

/** What an axis shows; `outside` points lie beyond it, `hidden` cannot be on it (values <= 0 of a log axis). */
export interface Extent {
  min: number;
  max: number;
  outside: number;
  hidden: number;
}

const MOST_SORTED = 10_000; // quartiles are those of evenly chosen values of longer lines
const FENCE = 3;

/**
 * Return the fences beyond which a value counts as far out: three interquartile ranges below the lower and above the
 * upper quartile (Tukey, "Exploratory Data Analysis", 1977, section 2D). Unlike percentiles they cut nothing from
 * values without outliers. null: no values, or quartiles that are equal.
 */
export function fences(lines: readonly ArrayLike<number>[]): [number, number] | null {
  const count = lines.reduce((sum, line) => sum + line.length, 0);
  const stride = Math.max(1, Math.ceil(count / MOST_SORTED));
  const chosen: number[] = [];
  for (const line of lines) {
    for (let i = 0; i < line.length; i += stride) if (Number.isFinite(line[i]!)) chosen.push(line[i]!);
  }
  const sorted = Float64Array.from(chosen).sort();
  const [lower, upper] = [quantile(sorted, 0.25), quantile(sorted, 0.75)];
  const reach = FENCE * (upper - lower);
  return reach > 0 ? [lower - reach, upper + reach] : null;
}

/** Quantile of sorted values, between neighbours linearly; NaN of none. */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  if (!sorted.length) return NaN;
  const at = part * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/**
 * Return what a y axis shows of the values of `lines` whose x lies in `window` (all of them without).
 * With `clip` the fences bound it, and points beyond are counted: nothing is deleted.
 */
export function extent(
  lines: readonly { xs: ArrayLike<number>; ys: ArrayLike<number> }[],
  kind: ScaleKind,
  { clip = false, window = null as readonly [number, number] | null } = {},
): Extent {
  const bounds = clip ? fences(lines.map((line) => line.ys)) : null;
  const found: Extent = { min: Infinity, max: -Infinity, outside: 0, hidden: 0 };
  for (const { xs, ys } of lines) {
    for (let i = 0; i < ys.length; i += 1) {
      const y = ys[i]!;
      if (!Number.isFinite(y) || (window && (xs[i]! < window[0] || xs[i]! > window[1]))) continue;
      if (kind === "log" && y <= 0) found.hidden += 1;
      else if (bounds && (y < bounds[0] || y > bounds[1])) found.outside += 1;
      else {
        if (y < found.min) found.min = y;
        if (y > found.max) found.max = y;
      }
    }
  }
  return padded(found, kind);
}

const PAD = 0.05;

function padded(found: Extent, kind: ScaleKind): Extent {
  if (found.min > found.max) return kind === "log" ? { ...found, min: 0.1, max: 10 } : { ...found, min: 0, max: 1 };
  const { min, max } = found;
  if (kind === "log") {
    const factor = min === max ? 2 : (max / min) ** PAD;
    return { ...found, min: min / factor, max: max * factor };
  }
  const pad = min === max ? Math.abs(min) * 0.1 || 1 : (max - min) * PAD;
  return { ...found, min: min - pad, max: max + pad };
}

/** Smallest distance from zero that a symlog axis still shows as such: below it the axis is linear. */
export function symlogThreshold(min: number, max: number): number {
  const largest = Math.max(Math.abs(min), Math.abs(max));
  return largest > 0 ? 10 ** (Math.ceil(Math.log10(largest)) - 3) : 1; // by decades: it stays while values grow a little
}

/** The transformation in which an axis is straight: x, log10 x or asinh(x / threshold). */
export function forward(kind: ScaleKind, threshold: number): (value: number) => number {
  if (kind === "log") return (value) => Math.log10(value);
  return kind === "symlog" ? (value) => Math.asinh(value / threshold) : (value) => value;
}

const MOST_TICKS = 8;

/** Ticks of a logarithmic axis: decades with 2 and 5 between few of them; evenly spaced below one and a half decades. */
export function logTicks(min: number, max: number): number[] {
  if (!(min > 0 && max > min)) return [];
  const [from, to] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
  if (Math.log10(max / min) < 1.5) return evenTicks(min, max);
  const factors = to - from <= 3 ? [1, 2, 5] : [1];
  const every = Math.ceil((to - from) / MOST_TICKS);
  const found: number[] = [];
  for (let decade = from; decade <= to; decade += every) for (const factor of factors) found.push(power(decade) * factor);
  return found.filter((tick) => tick >= min && tick <= max);
}

/** Ticks of a symmetric logarithmic axis: zero, and decades from the threshold on to both sides. */
export function symlogTicks(min: number, max: number, threshold: number): number[] {
  const from = Math.round(Math.log10(threshold));
  const to = Math.ceil(Math.log10(Math.max(Math.abs(min), Math.abs(max))));
  const every = Math.max(1, Math.ceil((to - from) / (MOST_TICKS / 2)));
  const found = [0];
  for (let decade = to; decade >= from; decade -= every) found.push(power(decade), -power(decade));
  const shown = found.filter((tick) => tick >= min && tick <= max).sort((a, b) => a - b);
  return shown.length > 1 ? shown : evenTicks(min, max);
}

function evenTicks(min: number, max: number): number[] {
  const raw = (max - min) / 5;
  const decade = power(Math.floor(Math.log10(raw)));
  const step = [1, 2, 5, 10].map((factor) => factor * decade).find((size) => size >= raw)!;
  const found: number[] = [];
  for (let at = Math.ceil(min / step); at * step <= max; at += 1) found.push(Number((at * step).toPrecision(12)));
  return found;
}

/** A power of ten as its literal has it: 10 ** -5 is not 1e-5. */
function power(decade: number): number {
  return Number(`1e${decade}`);
}
