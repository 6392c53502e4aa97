// The series of a chart in a notebook, as Python sends them. Knows no page.
import { signal } from "@preact/signals";
import type { SeriesRange } from "../charts/data/answers";
import { panelOf } from "../charts/data/names";
import type { LineSource, ShownRun } from "../charts/grid/lines";
import { Points, type Columns } from "../charts/maths/points";
import type { Frame, FrameSeries } from "./frame";

interface Curve {
  points: Points;
  superseded: Points[];
  unit: string;
  isDropped: boolean;
}

/** Holds what frames bring; signals say what changed. */
export class ChartData implements LineSource {
  readonly runs = signal<readonly ShownRun[]>([]);
  /** Names of the series of each panel. */
  readonly panels = signal<ReadonlyMap<string, readonly string[]>>(new Map());
  readonly cut = signal("");
  /** Rises with each change of points. */
  readonly version = signal(0);
  private number = -1;
  private reading = -1;
  private window: SeriesRange | null = null;
  private whole = new Map<string, Curve>();
  private part = new Map<string, Curve>();

  /** `onWindow` hears which part should be read, also again. */
  constructor(private readonly onWindow: (window: SeriesRange) => void = () => undefined) {}

  held(run: string, series: string): Curve | undefined {
    return this.part.get(keyOf(run, series)) ?? this.whole.get(keyOf(run, series));
  }

  /** Show a part, whose points are asked for; null: all. */
  setWindow(window: SeriesRange | null): void {
    this.window = window;
    this.part = new Map();
    if (window) this.onWindow(window);
    this.version.value += 1;
  }

  /** Take a frame. One that follows on one that was missed says nothing: the next whole state has it. */
  take({ head, columns }: Frame): void {
    if (head.kind === "all") this.replace(head.series, columns, head);
    else if (head.kind === "window") {
      if (JSON.stringify(head.window) !== JSON.stringify(this.window)) return;
      this.part = curvesOf(head.series, columns);
    } else {
      if (head.number !== this.number + 1) return;
      this.number = head.number;
      head.series.forEach((one, at) => this.add(one, columns[at]!));
    }
    this.version.value += 1;
  }

  private replace(series: readonly FrameSeries[], columns: readonly Columns[], { runs = [], cut = "", number = 0, reading = 0 }: Frame["head"]): void {
    this.number = number;
    this.whole = curvesOf(series, columns);
    this.runs.value = runs.map(({ id, name, began }) => ({ id, name: name || id, began, attempts: [] }));
    this.cut.value = cut;
    this.arrange();
    if (reading !== this.reading && this.window) this.onWindow(this.window);
    this.reading = reading;
  }

  private add(one: FrameSeries, columns: Columns): void {
    const key = keyOf(one.run_id, one.series);
    const known = this.whole.get(key);
    if (known) known.points.add(columns);
    else this.whole.set(key, curveOf(one, columns));
    this.part.get(key)?.points.add(columns);
    if (!known) this.arrange();
  }

  private arrange(): void {
    const panels = new Map<string, Set<string>>();
    for (const key of this.whole.keys()) {
      const series = key.slice(key.indexOf("\n") + 1);
      const panel = panelOf(series);
      panels.set(panel, (panels.get(panel) ?? new Set()).add(series));
    }
    const made = [...panels].map(([panel, names]) => [panel, [...names].sort()] as const);
    if (JSON.stringify(made) !== JSON.stringify([...this.panels.peek()])) this.panels.value = new Map(made);
  }
}

function curvesOf(series: readonly FrameSeries[], columns: readonly Columns[]): Map<string, Curve> {
  return new Map(series.map((one, at) => [keyOf(one.run_id, one.series), curveOf(one, columns[at]!)]));
}

function curveOf({ count, exact = true, unit = "", marks = [], dropped = false }: FrameSeries, columns: Columns): Curve {
  const points = Points.of(columns, count ?? columns.steps.length);
  if (marks.length) points.marks = marks.map((mark) => ({ ...mark })); // those of the columns are among them
  points.exact = points.exact && exact;
  return { points, superseded: [], unit, isDropped: dropped };
}

function keyOf(run: string, series: string): string {
  return `${run}\n${series}`;
}
