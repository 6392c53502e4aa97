// How charts show their lines: settings of a page, and what single panels override. Pure.
import type { BandKind, Centre } from "../maths/bands";
import { ORDERS, USUAL, type TooltipOrder, type TooltipView } from "../drawing/tooltip";
import type { XAxis } from "../maths/axes";
import type { ScaleKind } from "../maths/scales";
import type { Smoothing } from "../maths/smoothing";
import type { Window } from "../data/store";
import type { Codec } from "../../state/codecs";

export interface ChartSettings {
  x: XAxis;
  xScale: "linear" | "log";
  yScale: ScaleKind;
  smoothing: Smoothing;
  amount: number;
  clip: boolean;
  /** Range of x in its units: zoom of all panels. */
  zoomX: readonly [number, number] | null;
  /** Range of y: of one panel only. */
  zoomY: readonly [number, number] | null;
  superseded: boolean;
  centre: Centre;
  band: BandKind;
  tooltip: TooltipView;
}

/** What one panel does its own way. */
export type Override = Partial<Pick<ChartSettings, "x" | "xScale" | "yScale" | "smoothing" | "amount" | "clip" | "zoomY">>;

export const DEFAULTS: ChartSettings = {
  x: "step",
  xScale: "linear",
  yScale: "linear",
  smoothing: "none",
  amount: 0.6,
  clip: false,
  zoomX: null,
  zoomY: null,
  superseded: false,
  centre: "mean",
  band: "minmax",
  tooltip: USUAL,
};

/**
 * Settings of a panel; another x axis than that of the page has a zoom of its own units, so none. `meant`: the series
 * that code made its x axis, "" for none; it stands for steps where a person did not choose them for the panel.
 */
export function effective(settings: ChartSettings, override: Override | undefined, meant = ""): ChartSettings {
  const x: XAxis = meant && settings.x === "step" ? `metric:${meant}` : settings.x;
  if (!override && x === settings.x) return settings;
  const made = { ...settings, x, ...override };
  return made.x === settings.x ? made : { ...made, zoomX: null };
}

/** The range of a zoom on an axis that the API knows; null on others, and without a zoom. */
export function windowOf({ x, zoomX }: Pick<ChartSettings, "x" | "zoomX">): Window {
  if (!zoomX) return null;
  const [from, to] = zoomX;
  if (x === "step") return { axis: "step", from: Math.floor(from), to: Math.ceil(to) };
  if (x === "time" || x === "relative") return { axis: x, from: Math.floor(from * 1e6), to: Math.ceil(to * 1e6) };
  return null;
}

/** Settings of a panel of groups: runs of a group meet at steps, so no other x axis has a place for them. */
export function overSteps(settings: ChartSettings): ChartSettings {
  return settings.x === "step" ? settings : { ...settings, x: "step", zoomX: null };
}

const AXES = ["step", "time", "relative", "process"];

/** An x axis by its name. */
export const xAxis: Codec<XAxis> = {
  read: (text) => (text !== null && (AXES.includes(text) || /^metric:./.test(text)) ? (text as XAxis) : "step"),
  write: (value) => (value === "step" ? null : value),
};

/** A range as "from..to". */
export const range: Codec<readonly [number, number] | null> = {
  read: (text) => {
    const parts = (text ?? "").split("..").map((part) => (part.trim() === "" ? NaN : Number(part)));
    return parts.length === 2 && parts.every(Number.isFinite) && parts[0]! < parts[1]! ? [parts[0]!, parts[1]!] : null;
  },
  write: (value) => (value ? `${short(value[0])}..${short(value[1])}` : null),
};

/** Smoothing as "ema:0.6". */
export const smoothing: Codec<{ kind: Smoothing; amount: number }> = {
  read: (text) => {
    const [kind, amount] = (text ?? "").split(":");
    const value = Number(amount);
    const isKnown = (kind === "ema" || kind === "gaussian") && value >= 0 && value <= 1;
    return isKnown ? { kind, amount: value } : { kind: "none", amount: DEFAULTS.amount };
  },
  write: ({ kind, amount }) => (kind === "none" ? null : `${kind}:${amount}`),
};

const MOST_ROWS = 100;

/** Order and length of tooltips as "near:6". */
export const tooltip: Codec<TooltipView> = {
  read: (text) => {
    const [order, rows] = (text ?? "").split(":");
    const count = Number(rows);
    const isKnown = (ORDERS as readonly string[]).includes(order!) && Number.isInteger(count) && count > 0 && count <= MOST_ROWS;
    return isKnown ? { order: order as TooltipOrder, rows: count } : USUAL;
  },
  write: ({ order, rows }) => (order === USUAL.order && rows === USUAL.rows ? null : `${order}:${rows}`),
};

/** Whether a value read from an address is a set of overrides. */
export function isOverrides(found: unknown): found is Record<string, Override> {
  return typeof found === "object" && found !== null && Object.values(found).every((one) => typeof one === "object" && one !== null);
}

function short(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(9)));
}
