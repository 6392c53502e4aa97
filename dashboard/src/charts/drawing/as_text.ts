// A chart as text: for a message to a person, or for an assistant that is asked about it. Pure.
import { number } from "../format";
import type { Line } from "./line";
import { xText } from "./tooltip";
import type { XAxis } from "../maths/axes";

const MOST_LINES = 30;

/** Write what a chart shows: of each line how many points are read, the first, last, lowest and highest, and NaN. */
export function chartText(title: string, lines: readonly Line[], axis: XAxis, link: string): string {
  const shown = lines.filter((line) => !line.isSuperseded && line.xs.length);
  const written = shown.slice(0, MOST_LINES).map((line) => `- ${lineText(line, axis)}`);
  const more = shown.length > MOST_LINES ? [`- ${shown.length - MOST_LINES} more lines`] : [];
  return [`Chart ${title}, ${shown.length} ${shown.length === 1 ? "line" : "lines"}: ${link}`, ...written, ...more].join("\n");
}

function lineText({ label, xs, ys, marks }: Line, axis: XAxis): string {
  let [low, high] = [-1, -1];
  for (let at = 0; at < ys.length; at += 1) {
    if (!Number.isFinite(ys[at]!)) continue;
    if (low < 0 || ys[at]! < ys[low]!) low = at;
    if (high < 0 || ys[at]! > ys[high]!) high = at;
  }
  const point = (at: number) => `${number(ys[at]!, 8)} at ${xText(axis, xs[at]!)}`;
  const odd = marks.reduce((sum, mark) => sum + mark.count, 0);
  const parts = [`${xs.length} points`, `first ${point(0)}`, `last ${point(xs.length - 1)}`];
  if (low >= 0) parts.push(`lowest ${point(low)}`, `highest ${point(high)}`);
  if (odd) parts.push(`${odd} not finite`);
  return `${label}: ${parts.join(", ")}`;
}
