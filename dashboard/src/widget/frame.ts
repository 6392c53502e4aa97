// The binary form of curves that Python sends: gateway/notebook/frames.py describes it. Pure.
import type { SeriesRange } from "../charts/data/answers";
import type { Columns, Mark } from "../charts/maths/points";

/** What a frame says of one series; rows of points follow in its columns. */
export interface FrameSeries {
  run_id: string;
  series: string;
  rows: number;
  count?: number;
  exact?: boolean;
  unit?: string;
  marks?: Mark[];
  dropped?: boolean;
}

/** all: the whole state; more: new points; window: the points of a part, as exact as it is narrow. */
export interface Head {
  kind: "all" | "more" | "window";
  number?: number;
  /** Counts how often Python has read the series: points may have been replaced in between. */
  reading?: number;
  runs?: { id: string; name: string; began: number }[];
  cut?: string;
  window?: SeriesRange;
  series: FrameSeries[];
}

export interface Frame {
  head: Head;
  columns: Columns[];
}

const LENGTH_BYTES = 4;

/** Read a frame; null of none, which is what there is before the first answer. */
export function decode(bytes: DataView | null | undefined): Frame | null {
  if (!bytes?.byteLength) return null;
  const start = LENGTH_BYTES + bytes.getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(bytes.buffer, bytes.byteOffset + LENGTH_BYTES, start - LENGTH_BYTES));
  const head = JSON.parse(text) as Head;
  // A copy: only that is sure to begin at a multiple of eight.
  const cells = new Float64Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.byteLength));
  let at = 0;
  const take = (rows: number) => cells.subarray(at, (at += rows));
  const columns = head.series.map(({ rows }): Columns => ({ steps: take(rows), times: take(rows), values: take(rows) }));
  return { head, columns };
}
