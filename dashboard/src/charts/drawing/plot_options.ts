// Options of uPlot: axes, scales, cursor. Only this file and chart.ts know uPlot.
import type uPlot from "uplot";
import { duration, tick } from "../format";
import type { XAxis } from "../maths/axes";
import { logTicks, symlogTicks, type ScaleKind } from "../maths/scales";
import { clockTexts, clockTicks, durationTexts, TIME_STEPS } from "../maths/ticks";

/** Colours that the style sheet gives to parts of a canvas. */
export interface ChartColours {
  text: string;
  grid: string;
  background: string;
  mark: string;
}

/** Ticks as drawn: an SVG repeats them. */
export interface Ticks {
  x: [number, string][];
  y: [number, string][];
}

export interface PlotOptions {
  width: number;
  height: number;
  xAxis: XAxis;
  xScale: ScaleKind;
  yScale: ScaleKind;
  threshold: number;
  colours: ChartColours;
  syncKey: string;
  ticks: Ticks;
  onSelect(plot: uPlot): void;
  onCursor(plot: uPlot): void;
  onDraw(plot: uPlot): void;
  onReset(): void;
}

const DISTRIBUTION = { linear: 1, log: 3, symlog: 4 } as const;
const FINE_S = 10; // below it, times of day have fractions of seconds, which need room
const WHOLE_STEPS = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
const FONT = "11px system-ui, sans-serif";

/** Return the options of a plot that has no data of its own: lines are painted in its draw hook. */
export function plotOptions(options: PlotOptions): uPlot.Options {
  const { colours } = options;
  const axis = { stroke: colours.text, font: FONT, grid: { stroke: colours.grid, width: 1 }, ticks: { show: false } };
  const scale = (kind: ScaleKind) => ({ auto: false, distr: DISTRIBUTION[kind], asinh: options.threshold });
  return {
    width: options.width,
    height: options.height,
    padding: [8, 20, 0, 0],
    pxAlign: 0,
    legend: { show: false },
    scales: { x: { ...scale(options.xScale), time: false }, y: scale(options.yScale) },
    series: [{}, { scale: "y", points: { show: false }, paths: () => null }],
    axes: [
      { ...axis, size: options.xAxis === "time" ? 44 : 28, space: 60, ...ticksOf(options.xScale, options.threshold), ...xTicks(options) },
      { ...axis, size: 52, space: 28, ...ticksOf(options.yScale, options.threshold), values: yValues(options.ticks) },
    ] as uPlot.Axis[],
    cursor: {
      points: { show: false },
      drag: { x: true, y: true, uni: 30, dist: 5, setScale: false },
      bind: { dblclick: () => () => (options.onReset(), null) },
      sync: {
        key: options.syncKey,
        scales: ["x", null],
        setSeries: false,
        filters: { pub: (type) => type === "mousemove" || type === "mouseleave" },
      },
    },
    hooks: {
      setSelect: [options.onSelect],
      setCursor: [options.onCursor],
      draw: [options.onDraw],
    },
  };
}

/** Where an axis that is not linear has its ticks: uPlot's own leave most of a narrow range without any. */
function ticksOf(kind: ScaleKind, threshold: number): uPlot.Axis {
  if (kind === "linear") return {};
  const splits = (_: uPlot, __: number, min: number, max: number) => (kind === "log" ? logTicks(min, max) : symlogTicks(min, max, threshold));
  return { splits, filter: (_, all) => all };
}

/** Ticks of the x axis: those of times lie on whole steps of a clock. */
function xTicks({ xAxis, xScale, ticks }: PlotOptions): Partial<uPlot.Axis> {
  const keep = (all: [number, string][]) => (ticks.x = all);
  const isLength = xAxis === "relative" || xAxis === "process";
  const plain: uPlot.Axis.DynamicValues = (_, splits) => remembered(splits, splits.map(isLength ? duration : tick), keep);
  if (xScale !== "linear" || !(isLength || xAxis === "time")) return { values: plain, ...(xAxis === "step" && { incrs: WHOLE_STEPS }) };
  const texts = xAxis === "time" ? clockTexts : durationTexts;
  return {
    incrs: [...TIME_STEPS],
    space: (_: uPlot, __: number, min: number, max: number) => (isLength ? 60 : max - min < FINE_S ? 108 : 76),
    ...(xAxis === "time" && { splits: (_: uPlot, __: number, min: number, max: number, step: number) => clockTicks(min, max, step) }),
    values: (_, splits, __, ___, step) => remembered(splits, texts(splits, step), keep),
  };
}

function yValues(ticks: Ticks): uPlot.Axis.DynamicValues {
  return (_, splits) => remembered(splits, splits.map(tick), (all) => (ticks.y = all));
}

function remembered(splits: readonly number[], texts: string[], keep: (all: [number, string][]) => void): string[] {
  keep(splits.map((split, at) => [split, texts[at]!]));
  return texts;
}
