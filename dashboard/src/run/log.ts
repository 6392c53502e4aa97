/** The run log, as far as the run's page reads it, and what it means. Pure. */
import type { AttemptTimes } from "../charts/maths/axes";
import { count, plural } from "../components/text";

export interface Producer {
  producer: string;
  received: number;
  expected: number | null;
  missing: [first: number, end: number][];
  refused_duplicates: number;
  dropped_points: number;
  author: string;
}

export interface StepLog {
  name: string;
  internal_name: string;
  status: string;
  step_type: string;
  message: string;
  attempts: { attempt_number: number; start_time: string | null; end_time: string | null; duration: string | null; status: string; message: string }[];
  branches: Record<string, { internal_name: string; status: string; steps: Record<string, StepLog> }>;
}

export interface RunLog {
  run_id: string;
  name: string;
  state: string;
  message: string;
  tag: string;
  group: string;
  experiment: string;
  experiment_id: string;
  lifecycle_stage: string;
  original_run_id: string;
  parent_run_id: string;
  start_time: string | null;
  end_time: string | null;
  parameters: Record<string, unknown>;
  tags: Record<string, string>;
  note: string;
  best: Record<string, number>;
  truncated: string[];
  environment: Record<string, unknown>;
  completeness: Producer[];
  steps: Record<string, StepLog>;
  points_dropped: string | null;
}

/** The time of a run log, "YYYY-MM-DD HH:MM:SS.ffffff" in UTC, in µs; null stays null. */
export function logTime(text: string | null): number | null {
  if (!text) return null;
  const [whole, part = ""] = text.split(".");
  const ms = Date.parse(`${whole!.replace(" ", "T")}Z`);
  return Number.isNaN(ms) ? null : ms * 1000 + Number(part.padEnd(6, "0").slice(0, 6));
}

/** When the attempts of a run began and ended, for the axis of process time. */
export function attemptTimes(log: Pick<RunLog, "steps">): AttemptTimes[] {
  return (log.steps.main?.attempts ?? []).flatMap((one) => {
    const began = logTime(one.start_time);
    return began === null ? [] : [{ began, ended: logTime(one.end_time) }];
  });
}

/** Say in one line whether all that the producers sent has arrived. */
export function completeness(producers: readonly Producer[]): { tone: "good" | "busy" | "bad"; word: string; text: string } {
  const sum = (pick: (one: Producer) => number): number => producers.reduce((total, one) => total + pick(one), 0);
  const received = sum((one) => one.received);
  const missing = sum((one) => one.missing.reduce((total, [first, end]) => total + end - first, 0));
  const unseen = sum((one) => (one.expected === null ? 0 : Math.max(0, one.expected - one.received)));
  const lost = Math.max(missing, unseen);
  const dropped = sum((one) => one.dropped_points);
  const isFinal = producers.length > 0 && producers.every((one) => one.expected !== null);
  const parts = [
    isFinal ? `${count(received)} of ${plural(sum((one) => one.expected ?? one.received), "record")} received` : `${plural(received, "record")} received so far`,
    `${count(lost)} missing`,
    `${plural(sum((one) => one.refused_duplicates), "duplicate")} refused`,
    ...(dropped ? [`${plural(dropped, "point")} dropped by the producer`] : []),
    `from ${plural(producers.length, "producer")}`,
  ];
  return {
    tone: lost || dropped ? "bad" : isFinal ? "good" : "busy",
    word: lost ? "Incomplete" : dropped ? "Points dropped" : isFinal ? "Complete" : "Receiving",
    text: parts.join(", "),
  };
}

/** A step with how deep it is inside the branches of others. */
export interface FlatStep {
  step: StepLog;
  depth: number;
}

/** Return all steps in order, those of branches after their step. */
export function flatSteps(steps: Readonly<Record<string, StepLog>>, depth = 0): FlatStep[] {
  return Object.values(steps).flatMap((step) => [
    { step, depth },
    ...Object.values(step.branches).flatMap((branch) => flatSteps(branch.steps, depth + 1)),
  ]);
}
