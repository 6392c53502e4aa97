// Draw lines, bands and marks into a canvas whose axes are drawn already.
import type { Line } from "./line";
import { projection, trace, visible, type AxisView } from "./projection";

/** What the painter needs to know besides lines. Sizes in canvas pixels; `ratio` of them make a CSS pixel. */
export interface Scene {
  x: AxisView;
  y: AxisView;
  ratio: number;
  /** Owner whose lines stand out; the others step back. */
  highlighted: string | null;
  /** x of a line from top to bottom, or null. */
  mark: number | null;
  markColour: string;
}

const FAINT = 0.25;
const BAND = 0.18;
const STEPPED_BACK = 0.3;
const DOTS_BELOW = 60; // lines of fewer points show each of them
// With more points than this in a column of pixels a line is a solid hairline. Without a GPU that takes an eighth of the
// time of a stroke of 1.5 px (20 lines of 340 columns in Chromium: 4 ms, 30 ms), and dashes would be noise.
const DENSE = 1.5;

/** Draw everything, clipped to the plot. */
export function paint(ctx: CanvasRenderingContext2D, lines: readonly Line[], scene: Scene): void {
  const { x, y } = scene;
  ctx.save();
  ctx.beginPath();
  ctx.rect(x.start, y.end, x.end - x.start, y.start - y.end);
  ctx.clip();
  ctx.lineJoin = "bevel";
  const [toX, toY] = [projection(x), projection(y)];
  const isBack = (line: Line) => scene.highlighted !== null && line.owner !== scene.highlighted;
  const ordered = scene.highlighted === null ? lines : [...lines].sort((a, b) => Number(isBack(b)) - Number(isBack(a)));
  for (const line of ordered) {
    const alpha = (isBack(line) ? STEPPED_BACK : 1) * (line.isSuperseded ? FAINT * 2 : 1);
    if (line.band) paintBand(ctx, line, toX, toY, alpha * BAND);
    const range = visible(line.xs, x.min, x.max, line.isRising);
    ctx.strokeStyle = ctx.fillStyle = line.colour;
    const isDense = range[1] - range[0] > DENSE * (x.end - x.start);
    const width = scene.highlighted === line.owner ? 2.5 * scene.ratio : isDense ? 1 : 1.5 * scene.ratio;
    ctx.setLineDash([]);
    if (line.smoothed) stroke(ctx, line, line.ys, toX, toY, range, alpha * FAINT, 1);
    if (!isDense) ctx.setLineDash((line.isSuperseded ? [2, 3] : line.dash).map((length) => length * scene.ratio));
    stroke(ctx, line, line.smoothed ?? line.ys, toX, toY, range, alpha, width);
  }
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
  for (const line of lines) paintMarks(ctx, line, toX, scene);
  if (scene.mark !== null) {
    ctx.fillStyle = scene.markColour;
    ctx.fillRect(toX(scene.mark) - scene.ratio, y.end, 2 * scene.ratio, y.start - y.end);
  }
  ctx.restore();
}

type Project = (value: number) => number;

function stroke(
  ctx: CanvasRenderingContext2D,
  line: Line,
  ys: Float64Array,
  toX: Project,
  toY: Project,
  range: [number, number],
  alpha: number,
  width: number,
): void {
  ctx.globalAlpha = alpha;
  ctx.lineWidth = width;
  const dot = (x: number, y: number) => ctx.fillRect(x - width, y - width, width * 2, width * 2);
  ctx.beginPath();
  trace(ctx, line.xs, ys, toX, toY, range, dot);
  ctx.stroke();
  if (range[1] - range[0] > DOTS_BELOW) return;
  for (let i = range[0]; i < range[1]; i += 1) dot(toX(line.xs[i]!), toY(ys[i]!));
}

function paintBand(ctx: CanvasRenderingContext2D, line: Line, toX: Project, toY: Project, alpha: number): void {
  const { low, high } = line.band!;
  ctx.globalAlpha = alpha;
  ctx.fillStyle = line.colour;
  for (let start = 0; start < line.xs.length; ) {
    const has = (i: number) => Number.isFinite(toY(low[i]!)) && Number.isFinite(toY(high[i]!));
    while (start < line.xs.length && !has(start)) start += 1;
    let end = start;
    while (end < line.xs.length && has(end)) end += 1;
    ctx.beginPath();
    for (let i = start; i < end; i += 1) ctx.lineTo(toX(line.xs[i]!), toY(high[i]!));
    for (let i = end - 1; i >= start; i -= 1) ctx.lineTo(toX(line.xs[i]!), toY(low[i]!));
    ctx.fill();
    start = end;
  }
}

/** A triangle on the x axis, edged in the colour of its line, where values were NaN or infinite. */
function paintMarks(ctx: CanvasRenderingContext2D, line: Line, toX: Project, scene: Scene): void {
  const size = 5 * scene.ratio;
  const bottom = scene.y.start;
  ctx.fillStyle = scene.markColour;
  ctx.strokeStyle = line.colour;
  ctx.lineWidth = scene.ratio;
  for (const mark of line.marks) {
    const x = toX(mark.x);
    if (!(x >= scene.x.start - size && x <= scene.x.end + size)) continue;
    ctx.beginPath();
    ctx.moveTo(x - size, bottom);
    ctx.lineTo(x, bottom - size * 1.7);
    ctx.lineTo(x + size, bottom);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
}
