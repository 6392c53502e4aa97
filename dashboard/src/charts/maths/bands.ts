// Groups of runs as one line with a band. Pure.
import { toNumber } from "./points";

export type Centre = "mean" | "median";
export type BandKind = "none" | "std" | "stderr" | "minmax" | "ci95";

type Column = readonly (number | string | null)[];

/** One series of a group as the API answers it: a value for each step. */
export interface GroupSeries {
  series: string;
  steps: readonly number[];
  count: readonly number[];
  mean: Column;
  median: Column;
  std: Column;
  stderr: Column;
  min: Column;
  max: Column;
  ci95_low: Column;
  ci95_high: Column;
}

/** A line with the edges of its band. */
export interface BandLine {
  xs: Float64Array;
  ys: Float64Array;
  low: Float64Array | null;
  high: Float64Array | null;
}

/** Return the line and band of a group. A deviation lies around the centre; the others are as the API computed them. */
export function bandOf(group: GroupSeries, centre: Centre, kind: BandKind): BandLine {
  const ys = numbers(group[centre]);
  const line = { xs: Float64Array.from(group.steps), ys, low: null, high: null };
  if (kind === "none") return line;
  if (kind === "minmax") return { ...line, low: numbers(group.min), high: numbers(group.max) };
  const known = (column: Float64Array, otherwise: (i: number) => number) => column.map((value, i) => (Number.isNaN(value) ? otherwise(i) : value)); // of one run: none
  if (kind === "ci95") return { ...line, low: known(numbers(group.ci95_low), (i) => ys[i]!), high: known(numbers(group.ci95_high), (i) => ys[i]!) };
  const spread = known(numbers(group[kind]), () => 0);
  return { ...line, low: ys.map((y, i) => y - spread[i]!), high: ys.map((y, i) => y + spread[i]!) };
}

function numbers(column: Column): Float64Array {
  return Float64Array.from(column, toNumber);
}
