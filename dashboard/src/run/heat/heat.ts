/** Heat maps: series of many ranks over time, and histograms over steps. Pure. */

/** Values of a heat map by row and column; NaN where there is none. */
export interface Heat {
  rows: { label: string; values: Float64Array }[];
  /** Where each column is: its time (µs) or its step. */
  columns: number[];
  low: number;
  high: number;
}

export interface SampledSeries {
  label: string;
  times: readonly number[];
  values: readonly number[];
}

/** Put series into at most `most` equal spans of time: the mean of each, so that a short idle time is a darker cell. */
export function heatOfSeries(series: readonly SampledSeries[], most = 200): Heat {
  let [from, to, densest] = [Infinity, -Infinity, 1];
  for (const { times } of series) {
    for (const time of times) [from, to] = [Math.min(from, time), Math.max(to, time)];
    densest = Math.max(densest, times.length);
  }
  if (from > to) return { rows: series.map(({ label }) => ({ label, values: new Float64Array(0) })), columns: [], low: 0, high: 1 };
  const count = Math.max(1, Math.min(most, densest));
  const width = Math.max(1, (to - from) / count);
  const rows = series.map(({ label, times, values }) => {
    const [sums, counts] = [new Float64Array(count), new Float64Array(count)];
    times.forEach((time, at) => {
      const value = values[at]!;
      const column = Math.min(count - 1, Math.floor((time - from) / width));
      if (!Number.isFinite(value)) return;
      sums[column]! += value;
      counts[column]! += 1;
    });
    return { label, values: sums.map((sum, at) => sum / counts[at]!) };
  });
  const columns = Array.from({ length: count }, (_, at) => from + at * width);
  return { rows, columns, ...spanOf(rows) };
}

export interface Histograms {
  steps: readonly number[];
  edges: readonly (readonly number[])[];
  counts: readonly (readonly number[])[];
}

/** Put histograms of any edges over common rows, highest first: each cell is its share of the values of its step. */
export function heatOfHistograms({ steps, edges, counts }: Histograms, rowCount = 48): Heat {
  const all = edges.flat().filter(Number.isFinite);
  let [low, high] = [Infinity, -Infinity];
  for (const one of all) [low, high] = [Math.min(low, one), Math.max(high, one)];
  if (low > high) return { rows: [], columns: [], low: 0, high: 1 };
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const height = (high - low) / rowCount;
  const cells = Array.from({ length: rowCount }, () => new Float64Array(steps.length));
  steps.forEach((_, column) => {
    const total = counts[column]!.reduce((sum, one) => sum + one, 0) || 1;
    counts[column]!.forEach((count, bin) => {
      const [from, to] = [edges[column]![bin]!, edges[column]![bin + 1]!];
      const first = clamp(Math.floor((from - low) / height), rowCount);
      const last = clamp(Math.ceil((to - low) / height) - 1, rowCount);
      for (let row = first; row <= Math.max(first, last); row += 1) {
        const overlap = Math.min(to, low + (row + 1) * height) - Math.max(from, low + row * height);
        const part = to > from ? Math.max(0, overlap) / (to - from) : 1;
        cells[row]![column]! += (part * count) / total;
      }
    });
  });
  const rows = cells.map((values, row) => ({ label: `${low + row * height}`, values })).reverse();
  return { rows, columns: [...steps], low: 0, high: spanOf(rows).high };
}

function clamp(row: number, count: number): number {
  return Math.min(count - 1, Math.max(0, row));
}

function spanOf(rows: Heat["rows"]): { low: number; high: number } {
  let [low, high] = [Infinity, -Infinity];
  for (const { values } of rows) for (const value of values) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low > high) return { low: 0, high: 1 };
  return low === high ? { low: Math.min(0, low), high: high || 1 } : { low, high };
}

// Viridis (Smith and van der Walt, 2015, CC0) at seven even places: its lightness rises evenly, for all kinds of colour vision.
const VIRIDIS = [[68, 1, 84], [70, 50, 127], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 194, 109], [253, 231, 37]] as const;

/** The colour of a part of the scale, 0 to 1. */
export function colourAt(part: number): [red: number, green: number, blue: number] {
  const place = Math.min(1, Math.max(0, part)) * (VIRIDIS.length - 1);
  const at = Math.min(VIRIDIS.length - 2, Math.floor(place));
  const [one, other] = [VIRIDIS[at]!, VIRIDIS[at + 1]!];
  const mix = (channel: 0 | 1 | 2): number => Math.round(one[channel] + (other[channel] - one[channel]) * (place - at));
  return [mix(0), mix(1), mix(2)];
}

/** A metric of the machine, and what has it: a rank, a GPU. */
export interface MachineSeries {
  metric: string;
  device: string;
  series: string;
}

/** Read `system/gpu/3/memory_percent{rank=7}`: the metric "gpu memory_percent" of "rank 7 · gpu 3". */
export function machineSeries(written: string): MachineSeries | null {
  const match = /^system\/(?:(gpu)\/(\d+)\/)?([^{]*)(?:\{(.*)\})?$/.exec(written);
  if (!match) return null;
  const [, gpu, number, name = "", labels = ""] = match;
  const parts = labels ? labels.split(",").map((one) => one.replace("=", " ")) : [];
  if (gpu) parts.push(`gpu ${number}`);
  return { metric: gpu ? `gpu ${name}` : name, device: parts.join(" · ") || "this process", series: written };
}
