// The points of one series: sorted, merged, thinned and put into pixel columns. Pure: knows no page.

const MOST_HELD = 24000; // beyond this a series is thinned ...
const BUCKETS = 3000; // ... to at most this many buckets of up to 4 points: still more than a screen has pixels

const WORDS = { NaN, Infinity, "-Infinity": -Infinity };

/** A value of the API as a number: what JSON cannot hold comes as "NaN", "Infinity" or "-Infinity". */
export function toNumber(value) {
  return typeof value === "number" ? value : WORDS[value] ?? NaN;
}

/** Points ordered by (step, time). */
export class Points {
  constructor() {
    this.steps = [];
    this.times = [];
    this.values = [];
    this.total = 0; // points the series has, thinned away or not
  }

  get length() {
    return this.steps.length;
  }

  /** Add points `[step, time, value]` in any order; `total` more points exist than before (default: as many). */
  add(points, total = points.length) {
    const sorted = isSorted(points) ? points : [...points].sort(byStepAndTime);
    if (sorted.length && this.length && precedes(sorted[0], this.steps.at(-1), this.times.at(-1))) this.#merge(sorted);
    else for (const [step, time, value] of sorted) this.#push(step, time, toNumber(value));
    this.total += total;
    if (this.length > MOST_HELD) this.#thin();
  }

  /** The index of the point whose x is nearest to `x`; -1 when there is none. */
  nearest(axis, x) {
    const xs = this[axis];
    if (!xs.length) return -1;
    if (axis === "times") return nearestOfAny(xs, x); // points are ordered by step, times may go back
    let low = 0;
    let high = xs.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low > 0 && x - xs[low - 1] <= xs[low] - x ? low - 1 : low;
  }

  #push(step, time, value) {
    this.steps.push(step);
    this.times.push(time);
    this.values.push(value);
  }

  #merge(sorted) {
    const old = [this.steps, this.times, this.values];
    [this.steps, this.times, this.values] = [[], [], []];
    let i = 0;
    for (const [step, time, value] of sorted) {
      while (i < old[0].length && !precedes([step, time], old[0][i], old[1][i])) {
        this.#push(old[0][i], old[1][i], old[2][i]);
        i += 1;
      }
      this.#push(step, time, toNumber(value));
    }
    for (; i < old[0].length; i += 1) this.#push(old[0][i], old[1][i], old[2][i]);
  }

  // Keeps of each bucket the first, the last, the least, the greatest and one non-finite point: no spike is lost.
  #thin() {
    const size = Math.ceil(this.length / BUCKETS);
    const kept = [];
    for (let start = 0; start < this.length; start += size) kept.push(...this.#keep(start, Math.min(start + size, this.length)));
    for (const name of ["steps", "times", "values"]) {
      const all = this[name];
      this[name] = kept.map((index) => all[index]);
    }
  }

  #keep(start, end) {
    const chosen = new Set([start, end - 1]);
    let [least, greatest, odd] = [-1, -1, -1];
    for (let i = start; i < end; i += 1) {
      const value = this.values[i];
      if (!Number.isFinite(value)) odd = i;
      else {
        if (least < 0 || value < this.values[least]) least = i;
        if (greatest < 0 || value > this.values[greatest]) greatest = i;
      }
    }
    for (const index of [least, greatest, odd]) if (index >= 0) chosen.add(index);
    return [...chosen].sort((a, b) => a - b);
  }
}

/**
 * Put points into `width` columns of one pixel: [{column, first, last, min, max, firstX, count, odd}], left to right.
 * `odd` holds the non-finite values met; a column of only such values has min === null: the line breaks there.
 */
export function columns(xs, values, from, to, width) {
  const made = [];
  const scale = to > from ? (width - 1) / (to - from) : 0;
  const order = isRising(xs) ? null : xs.map((_, index) => index).sort((a, b) => xs[a] - xs[b]);
  for (let i = 0; i < xs.length; i += 1) {
    const index = order ? order[i] : i;
    const column = Math.round((xs[index] - from) * scale);
    let current = made.at(-1);
    if (!current || current.column !== column) {
      current = { column, first: null, last: null, min: null, max: null, count: 0, odd: [] };
      made.push(current);
    }
    const value = values[index];
    current.count += 1;
    if (!Number.isFinite(value)) {
      if (current.odd.length < 3 && !current.odd.some((one) => Object.is(one, value))) current.odd.push(value);
      continue;
    }
    if (current.min === null) {
      current.first = value;
      current.min = value;
      current.max = value;
    } else {
      current.min = Math.min(current.min, value);
      current.max = Math.max(current.max, value);
    }
    current.last = value;
  }
  return made;
}

function byStepAndTime(a, b) {
  return a[0] - b[0] || a[1] - b[1];
}

function precedes(point, step, time) {
  return point[0] < step || (point[0] === step && point[1] < time);
}

function isSorted(points) {
  for (let i = 1; i < points.length; i += 1) if (byStepAndTime(points[i - 1], points[i]) > 0) return false;
  return true;
}

function isRising(xs) {
  for (let i = 1; i < xs.length; i += 1) if (xs[i] < xs[i - 1]) return false;
  return true;
}

function nearestOfAny(xs, x) {
  let best = 0;
  for (let i = 1; i < xs.length; i += 1) if (Math.abs(xs[i] - x) < Math.abs(xs[best] - x)) best = i;
  return best;
}
