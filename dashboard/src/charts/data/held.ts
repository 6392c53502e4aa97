// One series of one run as a page holds it: what was read, and what the stream added. Pure.
import { parseOffsets, type Offsets } from "../../api/offsets";
import type { StreamEvent, StreamSeries } from "../../api/types";
import { Points, toNumber } from "../maths/points";
import type { AnswerSeries } from "./answers";

/** A series with the points of a range, or of all of it. */
export class Held {
  readonly points: Points;
  /** Points that later attempts replaced, one line for each attempt. */
  readonly superseded: Points[];
  readonly unit: string;
  /** Retention dropped the points: there is nothing to draw. */
  readonly isDropped: boolean;
  private readonly asOf: Offsets;

  constructor(answer: AnswerSeries, asOf: string) {
    const { columns, marks } = answer;
    this.points = Points.of(columnsOf(columns), answer.in_range, marks);
    this.points.exact = this.points.exact && answer.exact;
    if (marks.length) this.points.marks = marks.map((mark) => ({ ...mark })); // those of the columns are among them
    this.superseded = (answer.attempts ?? []).map((attempt) => Points.of(columnsOf(attempt.columns)));
    this.unit = answer.unit ?? "";
    this.isDropped = (answer.points_dropped ?? null) !== null;
    this.asOf = parseOffsets(asOf);
  }

  /** A series that its run does not have yet. */
  static empty(run_id: string, series: string): Held {
    const columns = { steps: [], times: [], values: [] };
    return new Held({ run_id, series, count: 0, in_range: 0, exact: true, columns, marks: [] }, "");
  }

  /** Whether some of the points of an event are in the answer, and others are not. */
  overlaps(event: StreamEvent): boolean {
    const asOf = this.asOf.get(event.partition) ?? 0;
    return event.first_offset !== undefined && event.first_offset < asOf && event.offset >= asOf;
  }

  /** Add points of the stream unless the answer has them already. Says whether anything changed. */
  take(event: StreamEvent, series: StreamSeries): boolean {
    if (event.offset < (this.asOf.get(event.partition) ?? 0)) return false;
    this.points.add(columnsOfPoints(series));
    if (series.left_out) this.points.exact = false;
    return true;
  }
}

/** The series of one window, by run and written name. */
export class Shelf {
  /** Names that were asked for: not again. */
  readonly asked = new Set<string>();
  private readonly answered = new Set<string>();
  private readonly held = new Map<string, Held>();

  get(run: string, series: string): Held | undefined {
    return this.held.get(`${run}\n${series}`);
  }

  put(run: string, series: string, held: Held): Held {
    this.held.set(`${run}\n${series}`, held);
    return held;
  }

  /** Everything about these names has arrived: a run that had no such series then may begin one in the stream. */
  answer(names: Iterable<string>): void {
    for (const name of names) this.answered.add(name);
  }

  /** Add points of the stream to a series that was read, or that its run did not have then. */
  take(event: StreamEvent, series: StreamSeries): boolean {
    const known = this.get(event.run_id, series.series);
    if (!known && !this.answered.has(series.series)) return false;
    return (known ?? this.put(event.run_id, series.series, Held.empty(event.run_id, series.series))).take(event, series);
  }

  /** Forget the series of other runs. */
  keep(runs: ReadonlySet<string>): void {
    for (const key of this.held.keys()) if (!runs.has(key.slice(0, key.indexOf("\n")))) this.held.delete(key);
  }

  /** Ask for everything again; what is held stays until its answer comes. */
  expire(): void {
    this.asked.clear();
    this.answered.clear();
  }

  clear(): void {
    this.expire();
    this.held.clear();
  }
}

function columnsOf(columns: AnswerSeries["columns"]) {
  return { steps: columns.steps, times: columns.times, values: Float64Array.from(columns.values, toNumber) };
}

function columnsOfPoints({ points }: StreamSeries) {
  const count = points.length;
  const made = { steps: new Float64Array(count), times: new Float64Array(count), values: new Float64Array(count) };
  for (let i = 0; i < count; i += 1) {
    const [step, time, value] = points[i]!;
    made.steps[i] = step;
    made.times[i] = time;
    made.values[i] = toNumber(value);
  }
  return made;
}
