// Options of ECharts for runs as points and as lines over several axes. Pure.
import type { EChartsCoreOption } from "echarts/core";
import type { ChartColours } from "../charts/drawing/plot_options";
import { tick } from "../charts/format";
import type { PlotAxis } from "./columns";

/** A run in a plot. */
export interface PlotRun {
  id: string;
  name: string;
  colour: string;
}

/** What the hover box of a run says: text only, no HTML, as the security policy allows no styles of strings. */
function tooltip(colours: ChartColours) {
  return {
    renderMode: "richText",
    backgroundColor: colours.background,
    borderColor: colours.grid,
    textStyle: { color: colours.text, fontSize: 12 },
    formatter: ({ name }: { name: string }) => name,
  };
}

function axisOf(axis: PlotAxis, colours: ChartColours) {
  const type = axis.categories ? "category" : axis.isLog ? "log" : "value";
  return {
    type,
    name: axis.title,
    scale: true,
    ...(axis.categories ? { data: axis.categories } : {}),
    nameTextStyle: { color: colours.text },
    axisLine: { lineStyle: { color: colours.text } },
    axisLabel: { color: colours.text, ...(axis.categories ? { interval: 0 } : { formatter: tick }) },
    splitLine: { lineStyle: { color: colours.grid } },
  };
}

/** Runs as points of two columns; runs without one of them are left out. */
export function scatterOption(runs: readonly PlotRun[], across: PlotAxis, up: PlotAxis, colours: ChartColours): EChartsCoreOption {
  const data = runs.flatMap((run, at) => {
    const [x, y] = [across.places[at], up.places[at]];
    const text = `${run.name}\n${across.title} ${valueText(across, at)}\n${up.title} ${valueText(up, at)}`;
    return x == null || y == null ? [] : [{ value: [x, y], name: text, id: run.id, itemStyle: { color: run.colour } }];
  });
  return {
    animation: false,
    grid: { left: 70, right: 30, top: 40, bottom: 50 },
    tooltip: tooltip(colours),
    xAxis: { ...axisOf(across, colours), nameLocation: "middle", nameGap: 30 },
    yAxis: axisOf(up, colours),
    series: [{ type: "scatter", symbolSize: 11, data }],
  };
}

/** Runs as lines over axes; a part of an axis that is dragged over keeps only the runs through it. */
export function parallelOption(runs: readonly PlotRun[], axes: readonly PlotAxis[], colours: ChartColours): EChartsCoreOption {
  return {
    animation: false,
    tooltip: tooltip(colours),
    parallel: { left: 50, right: 80, top: 50, bottom: 30, parallelAxisDefault: { areaSelectStyle: { width: 24, opacity: 0.35 } } },
    parallelAxis: axes.map((axis, dim) => ({ dim, ...axisOf(axis, colours), splitLine: { show: false } })),
    series: [
      {
        type: "parallel",
        lineStyle: { width: 1.5, opacity: 0.75 },
        inactiveOpacity: 0.06,
        activeOpacity: 0.9,
        data: runs.map((run, at) => ({
          name: `${run.name}\n${axes.map((axis) => `${axis.title} ${valueText(axis, at)}`).join("\n")}`,
          value: axes.map((axis) => axis.places[at] ?? "-"),
          lineStyle: { color: run.colour },
        })),
      },
    ],
  };
}

function valueText(axis: PlotAxis, at: number): string {
  const place = axis.places[at];
  if (place == null) return "–";
  return axis.categories ? axis.categories[place]! : tick(place);
}
