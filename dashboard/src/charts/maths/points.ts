// The points of one series, ordered by (step, time), in typed arrays. Pure: knows no page.

/** Columns of points, all of one length: steps, times in µs, values (NaN and infinities included). */
export interface Columns {
  steps: ArrayLike<number>;
  times: ArrayLike<number>;
  values: ArrayLike<number>;
}

/** Where values that are not finite were recorded; `count` of them between this mark and the next. */
export interface Mark {
  step: number;
  time: number;
  count: number;
  kinds: string[];
}

export const MOST_HELD = 8_000; // beyond this a series is put into buckets ...
export const BUCKETS = 1_000; // ... of up to four points each: more than a chart has pixel columns
const MOST_MARKS = 500;

/** Name of a value that is not finite, as the API writes it; "" for a finite one. */
export function oddName(value: number): string {
  if (Number.isFinite(value)) return "";
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

/** A value of the API as a number: what JSON cannot hold comes as "NaN", "Infinity" or "-Infinity". */
export function toNumber(value: number | string | null): number {
  if (typeof value === "number") return value;
  return value === "Infinity" ? Infinity : value === "-Infinity" ? -Infinity : NaN;
}

/**
 * A growing series. Points are added in any order; beyond MOST_HELD the first, lowest, highest and last point of each
 * bucket of steps stay, at their true steps (M4, Jugel et al., VLDB 2014), so that a spike is never lost.
 */
export class Points {
  steps = new Float64Array(64);
  times = new Float64Array(64);
  values = new Float64Array(64);
  length = 0;
  marks: Mark[] = [];
  /** Points of the series, those that are not held included. */
  total = 0;
  /** Every point is held. */
  exact = true;
  /** Rises with each change; a cache compares it. */
  version = 0;

  /** Put an answer of the API into an empty series. */
  static of(columns: Columns, total = columns.steps.length, marks: Mark[] = []): Points {
    const made = new Points();
    made.add(columns);
    made.marks = [...marks];
    made.total = total;
    made.exact = total <= columns.steps.length && made.exact;
    return made;
  }

  /** Add new points, of which those that are not finite become marks. */
  add(columns: Columns): void {
    const added = columns.steps.length;
    if (!added) return;
    this.reserve(this.length + added);
    const isInOrder = this.append(columns);
    if (!isInOrder) this.sort();
    this.total += added;
    this.version += 1;
    if (this.length > MOST_HELD) this.thin();
  }

  /** Index of the first point whose step is at least `step`. */
  atStep(step: number): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle]! < step) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private append(columns: Columns): boolean {
    let isInOrder = true;
    let at = this.length;
    for (let i = 0; i < columns.steps.length; i += 1, at += 1) {
      const [step, time, value] = [columns.steps[i]!, columns.times[i]!, columns.values[i]!];
      if (at && (this.steps[at - 1]! > step || (this.steps[at - 1] === step && this.times[at - 1]! > time))) {
        isInOrder = false;
      }
      this.steps[at] = step;
      this.times[at] = time;
      this.values[at] = value;
      if (!Number.isFinite(value)) this.mark(step, time, oddName(value));
    }
    this.length = at;
    return isInOrder;
  }

  private mark(step: number, time: number, kind: string): void {
    const last = this.marks.at(-1);
    if (last && (this.marks.length >= MOST_MARKS || last.step === step)) {
      last.count += 1;
      if (!last.kinds.includes(kind)) last.kinds = [...last.kinds, kind];
    } else this.marks.push({ step, time, count: 1, kinds: [kind] });
  }

  private reserve(length: number): void {
    if (length <= this.steps.length) return;
    const size = Math.max(length, this.steps.length * 2);
    for (const name of ["steps", "times", "values"] as const) {
      const grown = new Float64Array(size);
      grown.set(this[name].subarray(0, this.length));
      this[name] = grown;
    }
  }

  private sort(): void {
    const order = Array.from({ length: this.length }, (_, index) => index);
    order.sort((a, b) => this.steps[a]! - this.steps[b]! || this.times[a]! - this.times[b]! || a - b);
    this.keep(order);
  }

  private keep(indices: ArrayLike<number>): void {
    for (const name of ["steps", "times", "values"] as const) {
      const old = this[name];
      const kept = new Float64Array(Math.max(64, indices.length));
      for (let i = 0; i < indices.length; i += 1) kept[i] = old[indices[i]!]!;
      this[name] = kept;
    }
    this.length = indices.length;
  }

  private thin(): void {
    this.keep(bucketed(this, BUCKETS));
    this.exact = false;
  }
}

/** Indices of the first, lowest, highest, last and one non-finite point of each of `buckets` equal ranges of steps. */
export function bucketed(points: Points, buckets: number): number[] {
  const { steps, values, length } = points;
  const [from, to] = [steps[0]!, steps[length - 1]!];
  const width = (to - from) / buckets || 1;
  const kept: number[] = [];
  for (let start = 0; start < length; ) {
    const bucket = Math.min(buckets - 1, Math.floor((steps[start]! - from) / width));
    let [end, low, high, odd] = [start, -1, -1, -1];
    for (; end < length && Math.min(buckets - 1, Math.floor((steps[end]! - from) / width)) === bucket; end += 1) {
      const value = values[end]!;
      if (!Number.isFinite(value)) odd = odd < 0 ? end : odd;
      else {
        if (low < 0 || value < values[low]!) low = end;
        if (high < 0 || value > values[high]!) high = end;
      }
    }
    const chosen = [start, low, high, odd, end - 1].filter((index) => index >= 0).sort((a, b) => a - b);
    for (const index of chosen) if (kept.at(-1) !== index) kept.push(index);
    start = end;
  }
  return kept;
}
