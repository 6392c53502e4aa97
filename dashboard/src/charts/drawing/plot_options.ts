// Options of uPlot: axes, scales, cursor. Only this file and chart.ts know uPlot.
import type uPlot from "uplot";
import { duration, tick } from "../format";
import type { XAxis } from "../maths/axes";
import { logTicks, symlogTicks, type ScaleKind } from "../maths/scales";

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
    scales: { x: { ...scale(options.xScale), time: options.xAxis === "time" }, y: scale(options.yScale) },
    series: [{}, { scale: "y", points: { show: false }, paths: () => null }],
    axes: [
      { ...axis, size: options.xAxis === "time" ? 44 : 28, space: 60, ...ticksOf(options.xScale, options.threshold), ...(options.xAxis === "time" ? {} : { values: xValues(options) }) },
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

function xValues({ xAxis, ticks }: PlotOptions): uPlot.Axis.DynamicValues {
  const text = xAxis === "relative" || xAxis === "process" ? duration : tick;
  return (_, splits) => remembered(splits, text, (all) => (ticks.x = all));
}

function yValues(ticks: Ticks): uPlot.Axis.DynamicValues {
  return (_, splits) => remembered(splits, tick, (all) => (ticks.y = all));
}

function remembered(splits: readonly number[], text: (value: number) => string, keep: (all: [number, string][]) => void): string[] {
  const all = splits.map((split): [number, string] => [split, text(split)]);
  keep(all);
  return all.map(([, written]) => written);
}
