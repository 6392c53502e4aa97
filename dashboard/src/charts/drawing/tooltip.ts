// The box beside the cursor: values of all lines there, highest first.
import { duration, moment, number } from "../format";
import type { XAxis } from "../maths/axes";
import type { Reading } from "./line";

export const ROWS = 12;

/** What a tooltip shows: `rows`, of which at most ROWS fit around the nearest, and how many more there are. */
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

/** Choose the rows: the order by value stays, and the nearest line is always among them. */
export function tooltipContent(axis: XAxis, x: number, readings: Reading[], nearest: Reading | null): TooltipContent {
  const at = nearest ? readings.indexOf(nearest) : 0;
  const start = Math.max(0, Math.min(at - Math.floor(ROWS / 2), readings.length - ROWS));
  const rows = readings.slice(start, start + ROWS);
  return { title: xText(axis, x), rows, more: readings.length - rows.length, nearest };
}

/** One reading as a sentence: for screen readers and the line below the chart. */
export function readingText(axis: XAxis, { line, index, x, raw, value }: Reading): string {
  const smoothed = line.smoothed ? ` · smoothed ${number(value)}` : "";
  const step = axis !== "step" && line.steps ? ` · step ${number(line.steps[index]!, 15)}` : "";
  const time = axis !== "time" && line.times ? ` · ${moment(line.times[index]!)}` : "";
  return `${line.label} · ${xText(axis, x)}${step} · ${number(raw, 8)}${smoothed}${time}`;
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
