// Options of uPlot: axes, scales, cursor. Only this file and chart.ts know uPlot.
import type uPlot from "uplot";
import { duration, tick } from "../format";
import type { XAxis } from "../maths/axes";
import type { ScaleKind } from "../maths/scales";

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
    padding: [8, 12, 0, 0],
    pxAlign: 0,
    legend: { show: false },
    scales: { x: { ...scale(options.xScale), time: options.xAxis === "time" }, y: scale(options.yScale) },
    series: [{}, { scale: "y", points: { show: false } }],
    axes: [
      { ...axis, size: 28, space: 60, ...(options.xAxis === "time" ? {} : { values: xValues(options) }) },
      { ...axis, size: 52, space: 28, values: yValues(options.ticks) },
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

function xValues({ xAxis, ticks }: PlotOptions): uPlot.Axis.DynamicValues {
  const text = xAxis === "relative" || xAxis === "process" ? duration : tick;
  return (_, splits) => remembered(splits, text, (all) => (ticks.x = all));
}

function yValues(ticks: Ticks): uPlot.Axis.DynamicValues {
  return (_, splits) => remembered(splits, tick, (all) => (ticks.y = all));
}

// A log axis gets null for the splits between its decades.
function remembered(splits: readonly (number | null)[], text: (value: number) => string, keep: (all: [number, string][]) => void) {
  const all = splits.map((split): [number, string] => [split ?? NaN, split === null ? "" : text(split)]);
  keep(all.filter(([value]) => Number.isFinite(value)));
  return all.map(([, written]) => written);
}
