// Charts as files: PNG of the canvas, SVG of the same lines, CSV of the points that are shown.
import type { Chart } from "./chart";
import type { Line } from "./line";
import { projection, trace, visible, type AxisView } from "./projection";

type Drawn = NonNullable<ReturnType<Chart["drawn"]>>;

const HEAD = 28; // px above the plot for the title
const ROW = 18;

/** A PNG of what is drawn, with title and legend. */
export function png(drawn: Drawn, title: string): Promise<Blob> {
  const { canvas, lines, ratio, view } = drawn;
  const rows = legendRows(lines);
  const made = document.createElement("canvas");
  made.width = canvas.width;
  made.height = canvas.height + (HEAD + rows.length * ROW) * ratio;
  const ctx = made.getContext("2d")!;
  ctx.fillStyle = view.colours.background;
  ctx.fillRect(0, 0, made.width, made.height);
  ctx.drawImage(canvas, 0, HEAD * ratio);
  ctx.scale(ratio, ratio);
  ctx.fillStyle = view.colours.text;
  ctx.font = "600 14px system-ui, sans-serif";
  ctx.fillText(title, 10, 19);
  ctx.font = "12px system-ui, sans-serif";
  rows.forEach((line, at) => {
    const y = HEAD + canvas.height / ratio + at * ROW + 12;
    ctx.fillStyle = line.colour;
    ctx.fillRect(10, y - 5, 16, 3);
    ctx.fillStyle = view.colours.text;
    ctx.fillText(line.label, 32, y);
  });
  return new Promise((done, fail) => made.toBlob((blob) => (blob ? done(blob) : fail(new Error("the picture is too large"))), "image/png"));
}

/** The same as SVG: lines stay lines at any size. */
export function svg(drawn: Drawn, title: string): string {
  const { canvas, lines, ratio, view, ticks } = drawn;
  const rows = legendRows(lines);
  const [width, height] = [canvas.width / ratio, canvas.height / ratio + HEAD + rows.length * ROW];
  const x = scaled(drawn.x, ratio, 0);
  const y = scaled(drawn.y, ratio, HEAD);
  const [toX, toY] = [projection(x), projection(y)];
  const { text, grid, background } = view.colours;
  const across = ticks.x.filter(([value]) => toX(value) >= x.start && toX(value) <= x.end);
  const up = ticks.y.filter(([value]) => toY(value) <= y.start && toY(value) >= y.end);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="${background}"/>`,
    `<text x="10" y="19" font-size="14" font-weight="600" fill="${text}">${escaped(title)}</text>`,
    ...across.map(([value, written]) => `<path d="M${toX(value)} ${y.end}V${y.start}" stroke="${grid}"/><text x="${toX(value)}" y="${y.start + 18}" text-anchor="middle" fill="${text}">${lined(written, toX(value))}</text>`),
    ...up.map(([value, written]) => `<path d="M${x.start} ${toY(value)}H${x.end}" stroke="${grid}"/><text x="${x.start - 6}" y="${toY(value) + 4}" text-anchor="end" fill="${text}">${escaped(written)}</text>`),
    `<clipPath id="plot"><rect x="${x.start}" y="${y.end}" width="${x.end - x.start}" height="${y.start - y.end}"/></clipPath>`,
    `<g clip-path="url(#plot)" fill="none" stroke-width="1.5" stroke-linejoin="round">`,
    ...lines.flatMap((line) => svgLine(line, toX, toY, visible(line.xs, x.min, x.max, line.isRising))),
    "</g>",
    ...rows.map((line, at) => {
      const top = height - (rows.length - at) * ROW + 12;
      return `<rect x="10" y="${top - 5}" width="16" height="3" fill="${line.colour}"/><text x="32" y="${top}" font-size="12" fill="${text}">${escaped(line.label)}</text>`;
    }),
    "</svg>",
  ].join("\n");
}

/** The points that are shown, one a row, with their lines; `number` of JavaScript writes each float64 exactly. */
export function csv(lines: readonly Line[]): string {
  const rows = ["line,x,step,time,value"];
  for (const line of lines) {
    const label = `"${line.label.replaceAll('"', '""')}"`;
    for (let i = 0; i < line.xs.length; i += 1) {
      rows.push([label, line.xs[i], line.steps?.[i] ?? "", line.times?.[i] ?? "", line.ys[i]].join(","));
    }
  }
  return `${rows.join("\r\n")}\r\n`;
}

/** Let the browser save a file. */
export function save(name: string, content: Blob | string, type = "text/plain"): void {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name.replace(/[\\/:*?"<>|]+/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const MOST_ROWS = 40;

function legendRows(lines: readonly Line[]): readonly Line[] {
  return lines.filter((line) => !line.isSuperseded).slice(0, MOST_ROWS);
}

function scaled(axis: AxisView, ratio: number, shift: number): AxisView {
  return { ...axis, start: axis.start / ratio + shift, end: axis.end / ratio + shift };
}

function svgLine(line: Line, toX: (x: number) => number, toY: (y: number) => number, range: [number, number]): string[] {
  const { low, high } = line.band ?? {};
  const made: string[] = [];
  if (low && high) {
    const edge = (ys: Float64Array) => [...line.xs].map((x, i) => `${round(toX(x))} ${round(toY(ys[i]!))}`).filter((point) => !point.includes("NaN"));
    made.push(`<path d="M${[...edge(high), ...edge(low).reverse()].join("L")}Z" fill="${line.colour}" fill-opacity="0.18"/>`);
  }
  const draw = (ys: Float64Array, opacity: number) => {
    let d = "";
    const pen = {
      moveTo: (x: number, y: number) => void (d += `M${x} ${round(y)}`),
      lineTo: (x: number, y: number) => void (d += `L${x} ${round(y)}`),
    };
    trace(pen, line.xs, ys, toX, toY, range, (x, y) => void (d += `M${x - 1} ${round(y)}h2`));
    const dash = line.dash.length ? ` stroke-dasharray="${line.dash.join(" ")}"` : "";
    made.push(`<path d="${d}" stroke="${line.colour}" stroke-opacity="${opacity}"${dash}/>`);
  };
  if (line.smoothed) draw(line.ys, 0.25);
  draw(line.smoothed ?? line.ys, line.isSuperseded ? 0.5 : 1);
  return made;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Lines of a tick below each other. */
function lined(text: string, x: number): string {
  const [first = "", ...rest] = text.split("\n");
  return escaped(first) + rest.map((line) => `<tspan x="${x}" dy="14">${escaped(line)}</tspan>`).join("");
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (found) => `&#${found.charCodeAt(0)};`);
}
