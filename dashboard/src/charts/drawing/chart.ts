// A chart: uPlot draws axes, cursor and selection, this class the lines. The only user of uPlot's object.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { extent, symlogThreshold, type Extent, type ScaleKind } from "../maths/scales";
import type { XAxis } from "../maths/axes";
import { readingsAt, xOfTime, xSpan, type Line, type Reading } from "./line";
import { paint } from "./paint";
import { plotOptions, type ChartColours, type Ticks } from "./plot_options";
import { projection, type AxisView } from "./projection";
import { scheduler } from "./scheduler";
import { readingText, Tooltip, tooltipContent, type TooltipView } from "./tooltip";

export type Range = readonly [number, number];

/** How a chart shows its lines; null ranges show all. */
export interface ChartView {
  xAxis: XAxis;
  xScale: ScaleKind;
  yScale: ScaleKind;
  clip: boolean;
  zoomX: Range | null;
  zoomY: Range | null;
  /** A time to mark, µs; 0 or left out: none. */
  mark?: number;
  /** Of the values; "" or left out: none. */
  unit?: string;
  tooltip: TooltipView;
  colours: ChartColours;
}

/** What a chart tells its page. */
export interface ChartEvents {
  /** A person chose a part of the chart; `y` is null where all of it stays. */
  onZoom?(x: Range | null, y: Range | null): void;
  onReset?(): void;
  /** The line under the cursor, or none. */
  onHover?(owner: string | null): void;
  /** A click or Enter on a point. */
  onPick?(reading: Reading): void;
  /** What was drawn: points that the axes leave out are counted here, and which part of the x axis. */
  onDrawn?(found: Extent, x: Range): void;
  /** The point under the cursor as text, for screen readers; "" for none. */
  onRead?(text: string): void;
}

const DRAG_PX = 4; // a pointer that moved further between press and release has dragged
const CLOSE_PX = 40; // a line this near to the cursor (y) is the one that is meant
const REACH = 0.05; // of the width: lines that end further from the cursor have no value there

/** Charts of one page share their cursor by this name. */
export const SYNC = "charts";

/** Draws lines into `host`, whose size it takes and follows. */
export class Chart {
  private lines: readonly Line[] = [];
  private source: () => readonly Line[] = () => [];
  private view: ChartView | null = null;
  private plot: uPlot | null = null;
  private built = ""; // the options that uPlot cannot change
  private readonly ticks: Ticks = { x: [], y: [] };
  private tooltip: Tooltip | null = null;
  private highlighted: string | null = null;
  private reading: Reading | null = null;
  private closest: Reading | null = null; // of the lines at the pointer's x, however far away: what a click means
  private axes: { x: AxisView; y: AxisView } | null = null;
  private isSeen = true;
  private readonly sizes = new ResizeObserver(() => this.resize());

  constructor(
    private readonly host: HTMLElement,
    private readonly events: ChartEvents = {},
    private readonly syncKey = SYNC,
  ) {
    this.sizes.observe(host);
  }

  /** Show the lines of `source`, which is asked whenever the chart draws, as `view` says. */
  show(source: () => readonly Line[], view: ChartView): void {
    this.source = source;
    this.view = view;
    this.request(true);
  }

  /** The lines changed by themselves: draw them in a coming frame, ten times a second at most. */
  changed(): void {
    this.request(false);
  }

  /** Whether the chart is on the screen: only then it draws. */
  setSeen(isSeen: boolean): void {
    this.isSeen = isSeen;
    if (isSeen) this.request(true);
    else scheduler.cancel(this);
  }

  /** Let the lines of one run or group stand out; null for none. */
  highlight(owner: string | null): void {
    const known = owner !== null && this.lines.some((line) => line.owner === owner) ? owner : null;
    if (known === this.highlighted) return;
    this.highlighted = known;
    this.request(true);
  }

  /** The keyboard's cursor: move by points of the nearest line, or to an end. */
  moveCursor(by: number | "first" | "last"): void {
    const line = this.reading?.line ?? this.lines.find((one) => !one.isSuperseded && one.xs.length);
    if (!line || !this.plot || !this.axes) return;
    const last = line.xs.length - 1;
    const at = this.reading ? this.reading.index : by === 1 ? -1 : last;
    const index = by === "first" ? 0 : by === "last" ? last : Math.max(0, Math.min(last, at + by));
    const value = line.smoothed?.[index] ?? line.ys[index]!;
    const left = this.plot.valToPos(line.xs[index]!, "x");
    const top = Number.isFinite(value) ? this.plot.valToPos(value, "y") : this.plot.over.clientHeight / 2;
    this.plot.setCursor({ left, top });
    this.point({ line, index, x: line.xs[index]!, raw: line.ys[index]!, value });
  }

  /** Zoom around the middle by `factor` (below 1: in). */
  zoomBy(factor: number): void {
    if (!this.plot) return;
    const width = this.plot.over.clientWidth;
    const part = (width * (1 - factor)) / 2;
    this.events.onZoom?.([this.plot.posToVal(part, "x"), this.plot.posToVal(width - part, "x")], this.view?.zoomY ?? null);
  }

  /** Tell the page of the point under the cursor. */
  pick(): void {
    if (this.reading) this.events.onPick?.(this.reading);
  }

  /** What is drawn now, for a picture: null before the first frame. */
  drawn(): { canvas: HTMLCanvasElement; lines: readonly Line[]; x: AxisView; y: AxisView; ticks: Ticks; ratio: number; view: ChartView } | null {
    if (!this.plot || !this.axes || !this.view) return null;
    return { canvas: this.plot.ctx.canvas, lines: this.lines, ...this.axes, ticks: this.ticks, ratio: uPlot.pxRatio, view: this.view };
  }

  destroy(): void {
    scheduler.cancel(this);
    this.sizes.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  /** Called by the scheduler. */
  draw(): void {
    const { view, host } = this;
    if (!view || !this.isSeen || !host.clientWidth || !host.clientHeight) return;
    this.lines = this.source();
    const x = this.xRange(view);
    const shown = this.lines.flatMap(({ xs, ys, band }) => (band ? [band.low, band.high] : [ys]).map((one) => ({ xs, ys: one })));
    const found = extent(shown, view.yScale, { clip: view.clip, window: view.zoomX });
    const y: Range = view.zoomY ?? [found.min, found.max];
    const threshold = view.yScale === "symlog" ? symlogThreshold(y[0], y[1]) : 1;
    this.build(view, threshold);
    const plot = this.plot!;
    plot.batch(() => {
      plot.setScale("x", { min: x[0], max: x[1] });
      plot.setScale("y", { min: y[0], max: y[1] });
      plot.redraw(false, true);
    });
    this.events.onDrawn?.(found, x);
  }

  private request(atOnce: boolean): void {
    if (this.isSeen) scheduler.request(this, { atOnce });
  }

  private xRange(view: ChartView): Range {
    if (view.zoomX) return view.zoomX;
    const [min, max] = xSpan(this.lines, { positive: view.xScale === "log" }) ?? [view.xScale === "log" ? 1 : 0, 10];
    if (min < max) return [min, max];
    return view.xScale === "log" ? [min / 2, max * 2] : [min - 0.5, max + 0.5];
  }

  private build(view: ChartView, threshold: number): void {
    const key = JSON.stringify([view.xAxis, view.xScale, view.yScale, threshold, view.colours]);
    if (key === this.built) return;
    this.built = key;
    this.plot?.destroy();
    const options = plotOptions({
      width: this.host.clientWidth,
      height: this.host.clientHeight,
      xAxis: view.xAxis,
      xScale: view.xScale,
      yScale: view.yScale,
      threshold,
      colours: view.colours,
      syncKey: `${this.syncKey}:${view.xAxis}`,
      ticks: this.ticks,
      onSelect: (plot) => this.select(plot),
      onCursor: (plot) => this.cursor(plot),
      onDraw: (plot) => this.paint(plot, threshold),
      onReset: () => this.events.onReset?.(),
    });
    this.plot = new uPlot(options, [[0, 1], [null, null]], this.host);
    this.tooltip = new Tooltip(this.plot.over);
    this.listenForClicks(this.plot.over);
  }

  /** A click picks the closest point; the end of a drag, which is a zoom, picks none. */
  private listenForClicks(over: HTMLElement): void {
    let from = { x: 0, y: 0 };
    over.addEventListener("pointerdown", ({ clientX, clientY }) => (from = { x: clientX, y: clientY }));
    over.addEventListener("click", ({ clientX, clientY }) => {
      const isDrag = Math.hypot(clientX - from.x, clientY - from.y) > DRAG_PX;
      if (!isDrag && this.closest) this.events.onPick?.(this.closest);
    });
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!this.plot) return this.request(true);
    if (width && height && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  private paint(plot: uPlot, threshold: number): void {
    const view = this.view!;
    const { left, top, width, height } = plot.bbox;
    const { x, y } = plot.scales as { x: uPlot.Scale; y: uPlot.Scale };
    if (x.min == null || y.min == null) return;
    this.axes = {
      x: { kind: view.xScale, min: x.min, max: x.max!, threshold, start: left, end: left + width },
      y: { kind: view.yScale, min: y.min, max: y.max!, threshold, start: top + height, end: top },
    };
    paint(plot.ctx, this.lines, {
      ...this.axes,
      ratio: uPlot.pxRatio,
      highlighted: this.highlighted,
      mark: view.mark ? (view.xAxis === "time" ? view.mark / 1e6 : xOfTime(this.lines, view.mark)) : null,
      markColour: view.colours.mark,
    });
  }

  private select(plot: uPlot): void {
    const { left, top, width, height } = plot.select;
    if (width < 2 && height < 2) return;
    const isAllWide = width >= plot.over.clientWidth - 1;
    const isAllHigh = height >= plot.over.clientHeight - 1;
    const x: Range | null = isAllWide ? this.view!.zoomX : [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    const y: Range | null = isAllHigh ? this.view!.zoomY : [plot.posToVal(top + height, "y"), plot.posToVal(top, "y")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.events.onZoom?.(x, y);
  }

  private cursor(plot: uPlot): void {
    const { left = -10, top = -10, event } = plot.cursor;
    if (left < 0 || !event || !this.view || !this.axes) {
      this.closest = null;
      this.tooltip?.hide(); // another chart has the pointer: only the line of the cursor is here
      if (this.reading) this.point(null);
      return;
    }
    const x = plot.posToVal(left, "x");
    const readings = readingsAt(this.lines, x, (this.axes.x.max - this.axes.x.min) * REACH);
    const toY = projection({ ...this.axes.y, start: plot.over.clientHeight, end: 0 });
    const distance = (one: Reading) => Math.abs(toY(one.value) - top);
    let closest: Reading | null = null;
    for (const one of readings) if (!closest || distance(one) < distance(closest)) closest = one;
    this.closest = closest;
    const nearest = closest && distance(closest) <= CLOSE_PX ? closest : null;
    const pointed = { axis: this.view.xAxis, x: closest?.x ?? x, unit: this.view.unit ?? "", readings, nearest, distance };
    if (closest) this.tooltip?.show(tooltipContent(pointed, this.view.tooltip), left, top);
    else this.tooltip?.hide();
    this.point(nearest);
  }

  private point(reading: Reading | null): void {
    this.reading = reading;
    this.events.onHover?.(reading?.line.owner ?? null);
    this.events.onRead?.(reading && this.view ? readingText(this.view.xAxis, reading, this.view.unit) : "");
  }
}
