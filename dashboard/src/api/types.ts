/** Shapes of the API's answers that more than one page reads. */

/** A number, or "NaN", "Infinity", "-Infinity". */
export type Numeric = number | "NaN" | "Infinity" | "-Infinity";

export type RunState = "created" | "running" | "finished" | "failed" | "killed" | "lost";

/** One event of /v1/stream. */
export interface StreamEvent {
  run_id: string;
  kind: string;
  partition: number;
  offset: number;
  producer: string;
  seq: number;
  time: number;
  /** Of points that a slow page got coalesced: the offset of their first record. */
  first_offset?: number;
  attempt?: number;
  step_name?: string;
  /** Of metrics and system_metrics. Points are [step, time in µs, value]. */
  series?: readonly StreamSeries[];
  readonly [field: string]: unknown;
}

export interface StreamSeries {
  series: string;
  name: string;
  labels: Record<string, string>;
  count: number;
  /** Points that are not here, because the page was slow. */
  left_out?: number;
  points: readonly (readonly [step: number, time: number, value: Numeric])[];
}

/** Who asks, from GET /v1/me. */
export interface Identity {
  name: string;
  scopes: readonly string[];
  experiments: readonly string[] | null;
  csrf: string;
}

/** The number that JSON could not hold otherwise. */
export function toNumber(value: Numeric): number {
  return typeof value === "number" ? value : Number(value);
}
