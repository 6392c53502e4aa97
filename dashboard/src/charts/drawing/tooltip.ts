// The box beside the cursor: values of all lines there, highest first.
import { duration, moment, number } from "../format";
import type { XAxis } from "../maths/axes";
import type { Reading } from "./line";

/** How the box lists lines: in which order, and how many at most. */
export interface TooltipView {
  order: TooltipOrder;
  rows: number;
}

export const ORDERS = ["high", "low", "near", "name"] as const;
/** Highest value first, lowest first, nearest to the pointer first, or by name. */
export type TooltipOrder = (typeof ORDERS)[number];

export const USUAL: TooltipView = { order: "high", rows: 12 };

/** What a tooltip shows: `rows`, and how many more lines there are. */
export interface TooltipContent {
  title: string;
  rows: Reading[];
  more: number;
  nearest: Reading | null;
}

/** x as the axis writes it. */
export function xText(axis: XAxis, x: number): string {
  if (axis === "step") return `step ${number(x, 15)}`;
  if (axis === "time") return moment(x * 1e6);
  if (axis === "relative" || axis === "process") return duration(x);
  return `${axis.slice("metric:".length)} ${number(x)}`;
}

/** What a tooltip is about: readings at `x`, highest first, and how far each is from the pointer, in pixels. */
export interface Pointed {
  axis: XAxis;
  x: number;
  /** Of the values; "" or left out: none. */
  unit?: string;
  readings: readonly Reading[];
  nearest: Reading | null;
  distance: (reading: Reading) => number;
}

/** Order and choose the rows: the nearest line is always among them. */
export function tooltipContent({ axis, x, unit, readings, nearest, distance }: Pointed, { order, rows: most }: TooltipView): TooltipContent {
  const all = ordered(readings, order, distance);
  const at = nearest ? all.indexOf(nearest) : 0;
  const start = Math.max(0, Math.min(at - Math.floor(most / 2), all.length - most));
  const rows = all.slice(start, start + most);
  return { title: unit ? `${xText(axis, x)} · ${unit}` : xText(axis, x), rows, more: all.length - rows.length, nearest };
}

function ordered(readings: readonly Reading[], order: TooltipOrder, distance: Pointed["distance"]): readonly Reading[] {
  if (order === "high") return readings;
  if (order === "name") return [...readings].sort((a, b) => (a.line.label < b.line.label ? -1 : 1));
  const rank = (value: number) => (Number.isNaN(value) ? Infinity : value); // without a value: last
  const of = order === "low" ? (one: Reading) => rank(one.value) : (one: Reading) => rank(distance(one));
  return [...readings].sort((a, b) => of(a) - of(b) || 0);
}

/** One reading as a sentence: for screen readers and the line below the chart. */
export function readingText(axis: XAxis, { line, index, x, raw, value }: Reading, unit = ""): string {
  const smoothed = line.smoothed ? ` · smoothed ${number(value)}` : "";
  const step = axis !== "step" && line.steps ? ` · step ${number(line.steps[index]!, 15)}` : "";
  const time = axis !== "time" && line.times ? ` · ${moment(line.times[index]!)}` : "";
  return `${line.label} · ${xText(axis, x)}${step} · ${number(raw, 8)}${unit && ` ${unit}`}${smoothed}${time}`;
}

/** A tooltip in `host`, the plot; hidden until shown. */
export class Tooltip {
  readonly box = document.createElement("div");

  constructor(private readonly host: HTMLElement) {
    this.box.className = "chart-tooltip";
    this.box.hidden = true;
    host.append(this.box);
  }

  show(content: TooltipContent, left: number, top: number): void {
    this.box.replaceChildren(
      element("div", "chart-tooltip-title", content.title),
      ...content.rows.map((row) => this.row(row, row === content.nearest)),
      ...(content.more ? [element("div", "chart-tooltip-more", `${content.more} more`)] : []),
    );
    this.box.hidden = false;
    const isRight = left > this.host.clientWidth / 2;
    this.box.style.left = isRight ? "" : `${left + 14}px`;
    this.box.style.right = isRight ? `${this.host.clientWidth - left + 14}px` : "";
    this.box.style.top = `${Math.max(0, Math.min(top + 8, this.host.clientHeight - this.box.offsetHeight))}px`;
  }

  hide(): void {
    this.box.hidden = true;
  }

  private row({ line, value, raw }: Reading, isNearest: boolean): HTMLElement {
    const row = element("div", isNearest ? "chart-tooltip-row nearest" : "chart-tooltip-row");
    const swatch = element("span", "chart-swatch");
    swatch.style.background = line.colour;
    const text = line.smoothed ? `${number(value)} (${number(raw)})` : number(raw);
    row.append(swatch, element("span", "chart-tooltip-label", line.label), element("b", "", text));
    return row;
  }
}

function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
