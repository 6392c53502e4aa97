/** A heat map on a canvas: rows with labels, a scale, and a cell under the pointer or the arrow keys. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { isDark } from "../../state/theme";
import { colourAt } from "./heat";
import type { Heat } from "./heat";

export interface HeatmapProps {
  label: string;
  heat: Heat;
  /** The label beside a row; "" for none. */
  rowText: (row: number) => string;
  /** What a row is called where a cell is read; its label unless given. */
  readRow?: (row: number) => string;
  columnText: (column: number) => string;
  valueText: (value: number) => string;
  /** Height of a row, CSS pixels. */
  rowHeight?: number;
  /** Width of the labels of rows. */
  labelWidth?: number;
  onPick?: (row: number, column: number) => void;
}

interface Cell {
  row: number;
  column: number;
}

export function Heatmap({ label, heat, rowText, columnText, valueText, rowHeight = 20, labelWidth = 130, readRow = rowText, onPick }: HeatmapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const cell = useSignal<Cell | null>(null);
  const width = useSignal(0);
  const { rows, columns, low, high } = heat;
  const height = rows.length * rowHeight;
  useEffect(() => {
    const sizes = new ResizeObserver(() => (width.value = canvas.current?.clientWidth ?? 0));
    sizes.observe(canvas.current!);
    return () => sizes.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current && width.value) draw(canvas.current, { heat, labels: rows.map((_, row) => rowText(row)), rowHeight, labelWidth, cell: cell.value });
  }, [heat, width.value, cell.value, isDark.value, rowHeight, labelWidth]);
  const cellAt = (event: PointerEvent | MouseEvent): Cell | null => {
    const box = canvas.current!.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / rowHeight);
    const column = Math.floor(((event.clientX - box.left - labelWidth) / (box.width - labelWidth)) * columns.length);
    return row >= 0 && row < rows.length && column >= 0 && column < columns.length ? { row, column } : null;
  };
  const keys = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const now = cell.value;
    if (by && rows.length && columns.length) {
      const row = now ? Math.min(rows.length - 1, Math.max(0, now.row + by[0]!)) : 0;
      const column = now ? Math.min(columns.length - 1, Math.max(0, now.column + by[1]!)) : 0;
      cell.value = { row, column };
    } else if (event.key === "Enter" && now && onPick) onPick(now.row, now.column);
    else return;
    event.preventDefault();
  };
  const shown = cell.value && rows[cell.value.row] ? cell.value : null;
  const value = shown ? rows[shown.row]!.values[shown.column]! : NaN;
  return (
    <div class="heat">
      <canvas
        ref={canvas}
        class={`heat-canvas${onPick ? " picks" : ""}`}
        style={{ height: `${height}px` }}
        data-rows={rows.length}
        data-columns={columns.length}
        tabIndex={0}
        role="application"
        aria-roledescription="heat map"
        aria-label={`${label}: ${rows.length} rows, ${columns.length} columns. Arrow keys move between cells`}
        onPointerMove={(event) => (cell.value = cellAt(event))}
        onPointerLeave={() => (cell.value = null)}
        onClick={(event) => {
          const found = cellAt(event);
          if (found) onPick?.(found.row, found.column);
        }}
        onKeyDown={keys}
      />
      <p class="heat-foot">
        <output class="heat-reading" aria-live="polite">
          {shown ? `${readRow(shown.row)} · ${columnText(shown.column)} · ${Number.isFinite(value) ? valueText(value) : "no value"}` : ""}
        </output>
        <Scale low={valueText(low)} high={valueText(high)} />
      </p>
    </div>
  );
}

function Scale({ low, high }: { low: string; high: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const ctx = canvas.current?.getContext("2d");
    for (let at = 0; ctx && at < 100; at += 1) {
      ctx.fillStyle = rgb(at / 99);
      ctx.fillRect(at, 0, 1, 8);
    }
  }, [isDark.value]);
  return (
    <span class="heat-scale" aria-hidden="true">
      {low} <canvas ref={canvas} width={100} height={8} /> {high}
    </span>
  );
}

/** High values stand out from the page: bright on dark, dark on light. */
function rgb(part: number): string {
  const [red, green, blue] = colourAt(isDark.peek() ? part : 1 - part);
  return `rgb(${red} ${green} ${blue})`;
}

interface Scene {
  heat: Heat;
  labels: readonly string[];
  rowHeight: number;
  labelWidth: number;
  cell: Cell | null;
}

function draw(canvas: HTMLCanvasElement, { heat: { rows, columns, low, high }, labels, rowHeight, labelWidth, cell }: Scene): void {
  const ctx = canvas.getContext("2d");
  if (!ctx) return;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, rows.length * rowHeight];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  ctx.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  const step = (width - labelWidth) / Math.max(1, columns.length);
  const gap = rowHeight > 8 ? 1 : 0;
  ctx.font = `12px ${read("--sans")}`;
  ctx.textBaseline = "middle";
  rows.forEach(({ values }, row) => {
    const top = row * rowHeight;
    if (labels[row]) {
      ctx.fillStyle = read("--quiet");
      ctx.fillText(fitted(ctx, labels[row], labelWidth - 8), 0, Math.min(height - 7, Math.max(7, top + rowHeight / 2)));
    }
    for (let column = 0; column < values.length; column += 1) {
      const value = values[column]!;
      if (!Number.isFinite(value)) continue;
      ctx.fillStyle = rgb(high > low ? (value - low) / (high - low) : 1);
      const left = labelWidth + column * step;
      ctx.fillRect(left, top, Math.ceil(left + step) - left, rowHeight - gap);
    }
  });
  if (!cell) return;
  ctx.strokeStyle = read("--text");
  ctx.lineWidth = 2;
  ctx.strokeRect(labelWidth + cell.column * step, cell.row * rowHeight, Math.max(2, step), rowHeight - gap);
}

function fitted(ctx: CanvasRenderingContext2D, text: string, width: number): string {
  if (ctx.measureText(text).width <= width) return text;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ctx.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}
