/** Events of the topic `series` as events of the log: a page adds points in one way, whichever stream brings them. */
import { parseOffsets } from "./offsets";
import type { Numeric, StreamEvent } from "./types";

interface Row {
  run_id: string;
  series: string;
  name: string;
  step_name: string;
  labels: Record<string, string>;
  attempt: number;
  partition: number;
  offset: number;
  first_offset?: number;
  left_out?: number;
  count: number;
  columns: { steps: number[]; times: number[]; values: Numeric[] };
}

/** Return the events that an event of the topic stands for, in its order. */
export function pointsOf(event: "series" | "reread", data: string): StreamEvent[] {
  const found = JSON.parse(data) as { as_of: string; series?: Row[]; run_ids?: string[] };
  if (event === "series") return (found.series ?? []).map(eventOf);
  // Whatever changed lies below as_of, in the partition of the run, which is not known here.
  const offsets = [...parseOffsets(found.as_of)];
  const facts = { kind: "reread", producer: "", seq: 0, time: 0 };
  return (found.run_ids ?? []).flatMap((run_id) => offsets.map(([partition, next]) => ({ ...facts, run_id, partition, offset: next - 1 })));
}

function eventOf(row: Row): StreamEvent {
  const { steps, times, values } = row.columns;
  const points = steps.map((step, at) => [step, times[at]!, values[at]!] as const);
  const { run_id, partition, offset, attempt, step_name } = row;
  const series = { series: row.series, name: row.name, labels: row.labels, count: row.count, points, left_out: row.left_out ?? 0 };
  const first = row.first_offset === undefined ? {} : { first_offset: row.first_offset };
  return { run_id, kind: "metrics", partition, offset, attempt, step_name, producer: "", seq: 0, time: times.at(-1) ?? 0, series: [series], ...first };
}
