// Columns of runs that plots compare, and how an address writes them. Pure.
import type { Numeric } from "../api/types";

/** Kind and name of a column; a metric may say which of its values: last unless min, max, first or count. */
export type ColumnKey = readonly [kind: string, name: string, which?: string];

const WHICH = ["last", "min", "max", "first", "count"];

/** Write a column as "param:lr" or "metric:loss:min". */
export function writeColumn([kind, name, which]: ColumnKey): string {
  return which && which !== "last" ? `${kind}:${name}:${which}` : `${kind}:${name}`;
}

/** Read a column; null where the text names none. */
export function readColumn(text: string): ColumnKey | null {
  const at = text.indexOf(":");
  if (at < 1 || at === text.length - 1) return null;
  const kind = text.slice(0, at);
  const rest = text.slice(at + 1);
  const end = rest.lastIndexOf(":");
  const which = rest.slice(end + 1);
  return kind === "metric" && end > 0 && WHICH.includes(which) ? [kind, rest.slice(0, end), which] : [kind, rest];
}

/** A column as a heading. */
export function columnTitle([, name, which]: ColumnKey): string {
  return which && which !== "last" ? `${name} (${which})` : name;
}

/** Columns as headings of one plot: those that would read the same say what they are of. */
export function columnTitles(keys: readonly ColumnKey[]): string[] {
  const titles = keys.map(columnTitle);
  return titles.map((title, at) => (titles.indexOf(title) === titles.lastIndexOf(title) ? title : `${title} (${keys[at]![0]})`));
}

export type Cell = Numeric | string | boolean | object | null;

/** A plot's axis of a column: numbers on a scale, anything else as categories in their order. */
export interface PlotAxis {
  title: string;
  categories: string[] | null;
  isLog: boolean;
  /** Of each run: a number, the place of its category, or null. */
  places: (number | null)[];
}

const LOG_SPREAD = 100; // positive numbers that span more are shown on a logarithmic axis

/** Return the axis of a column's values. */
export function plotAxis(title: string, values: readonly Cell[]): PlotAxis {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.every((value) => typeof value === "number" || isOdd(value))) {
    const places = values.map((value) => (typeof value === "number" ? value : null));
    const finite = places.filter((value) => value !== null);
    const isLog = finite.length > 1 && Math.min(...finite) > 0 && Math.max(...finite) / Math.min(...finite) > LOG_SPREAD;
    return { title, categories: null, isLog, places };
  }
  const categories = [...new Set(known.map(textOf))].sort();
  return { title, categories, isLog: false, places: values.map((value) => (value === null ? null : categories.indexOf(textOf(value)))) };
}

function textOf(value: Cell): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function isOdd(value: Cell): boolean {
  return value === "NaN" || value === "Infinity" || value === "-Infinity";
}
