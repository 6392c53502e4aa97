// Answers of the API about series. Shapes only: schemas/api.
import type { Numeric } from "../../api/types";
import type { GroupSeries } from "../maths/bands";
import type { Definition } from "./meanings";

/** A part of an x axis: steps, or µs since 1970 (time), or µs since the run began (relative). */
export interface SeriesRange {
  axis: "step" | "time" | "relative";
  from?: number;
  to?: number;
}

export interface AnswerColumns {
  steps: number[];
  times: number[];
  values: Numeric[];
}

export interface AnswerSeries {
  run_id: string;
  series: string;
  count: number;
  in_range: number;
  exact: boolean;
  columns: AnswerColumns;
  marks: { step: number; time: number; count: number; kinds: string[] }[];
  unit?: string | null;
  /** µs, when retention dropped the points. */
  points_dropped?: number | null;
  attempts?: { attempt: number; from_step: number | null; columns: AnswerColumns }[] | null;
}

export interface SeriesAnswer {
  as_of: string;
  series: AnswerSeries[];
  next_page_token: string | null;
}

/** Every series of the runs without points, as columns. */
export interface IndexAnswer {
  as_of: string;
  run_id: string[];
  series: string[];
  next_page_token: string | null;
}

/** What code says of metrics of several runs, by name; of one name the most common first. */
export interface MeaningsAnswer {
  definitions: Definition[];
  next_page_token: string | null;
}

export interface GroupsAnswer {
  as_of: string;
  groups: { key: (string | number | boolean | null)[]; runs: number; run_ids: string[]; series: GroupSeries[] }[];
  exact: boolean;
}
