/** Steps and their attempts over time. Pure; times in µs. */
import { flatSteps, logTime } from "./log";
import type { StepLog } from "./log";

/** One attempt of a step. */
export interface Bar {
  attempt: number;
  began: number;
  /** null: it goes on. */
  ended: number | null;
  /** CREATED, PROCESSING, SUCCESS or FAIL; LOST: a later attempt began, and this one never said how it ended. */
  status: string;
  message: string;
  /** A later attempt of the step took its place. */
  isReplaced: boolean;
}

export interface GanttRow {
  id: string;
  name: string;
  type: string;
  depth: number;
  status: string;
  message: string;
  bars: Bar[];
}

export interface Gantt {
  rows: GanttRow[];
  from: number;
  to: number;
  /** Attempts that later ones replaced. */
  replaced: number;
}

/** Lay out the steps of a run log; `now` is the end of what goes on. */
export function ganttOf(steps: Readonly<Record<string, StepLog>>, now: number): Gantt {
  const rows = flatSteps(steps).map(({ step, depth }): GanttRow => {
    const last = step.attempts.at(-1)?.attempt_number;
    const bars = step.attempts.flatMap((one): Bar[] => {
      const [began, ended] = [logTime(one.start_time), logTime(one.end_time)];
      const start = began ?? ended;
      if (start === null) return [];
      const isReplaced = one.attempt_number !== last;
      const status = isReplaced && ended === null ? "LOST" : one.status;
      return [{ attempt: one.attempt_number, began: start, ended, status, message: one.message, isReplaced }];
    });
    return { id: step.internal_name, name: step.name, type: step.step_type, depth, status: step.status, message: step.message, bars };
  });
  // An attempt that never ended, as of a killed process, lasts until the next one begins.
  for (const { bars } of rows) bars.forEach((bar, at) => (bar.ended ??= bars[at + 1]?.began ?? null));
  const bars = rows.flatMap((row) => row.bars);
  const from = bars.reduce((least, bar) => Math.min(least, bar.began), Infinity);
  const to = bars.reduce((most, bar) => Math.max(most, bar.ended ?? now, bar.began), -Infinity);
  const replaced = bars.filter((bar) => bar.isReplaced).length;
  return Number.isFinite(from) ? { rows, from, to: Math.max(to, from + 1), replaced } : { rows, from: now - 1, to: now, replaced };
}

/** Where a time lies between the ends, 0 to 1. */
export function placeOf({ from, to }: Pick<Gantt, "from" | "to">, time: number): number {
  return Math.min(1, Math.max(0, (time - from) / (to - from)));
}

const UNITS_S = [0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** Times from the start, in µs, at which an axis of this length has its ticks: at most `most` of them. */
export function ticksOf(length: number, most = 8): number[] {
  const seconds = length / 1e6;
  const unit = UNITS_S.find((one) => seconds / one <= most) ?? 86_400 * Math.ceil(seconds / 86_400 / most);
  return Array.from({ length: Math.floor(seconds / unit) + 1 }, (_, at) => at * unit * 1e6);
}
