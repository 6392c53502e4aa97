// The lines of a panel, made from what the store holds. A line is made again only when its points or settings changed.
import { COLOURS, colourOf, DASHES, dashOf, type Theme } from "../colours";
import { isMixed, labelsOf } from "../data/names";
import type { Held } from "../data/held";
import type { Line } from "../drawing/line";
import { isRising, xColumn, xFunction, type RunTimes } from "../maths/axes";
import { bandOf } from "../maths/bands";
import type { GroupsAnswer } from "../data/answers";
import type { Points } from "../maths/points";
import { smooth } from "../maths/smoothing";
import type { ChartSettings } from "./settings";

/** A run as charts show it. */
export interface ShownRun extends RunTimes {
  id: string;
  name: string;
  colour?: string;
}

/** Who holds the series of a page. */
export interface LineSource {
  held(run: string, series: string): Pick<Held, "points" | "superseded"> | undefined;
}

/** What lines are made of, besides points. */
export interface LineStyle {
  theme: Theme;
  settings: ChartSettings;
}

interface Made {
  points: Points;
  version: number;
  otherVersion: number;
  style: string;
  line: Line;
}

/** Makes the lines of one panel and keeps them while nothing changes. */
export class LineMaker {
  private made = new Map<string, Made>();

  constructor(private readonly store: LineSource) {}

  /** Lines of `names` of the runs; a panel of one run is labelled by series, one of many by run. */
  lines(names: readonly string[], runs: readonly ShownRun[], style: LineStyle): Line[] {
    const next = new Map<string, Made>();
    const isOne = runs.length === 1;
    const mixed = isMixed(names);
    for (const run of runs) {
      const other = this.other(run.id, style.settings);
      const written = JSON.stringify([style, run, isOne]);
      names.forEach((name, at) => {
        const held = this.store.held(run.id, name);
        if (!held) return;
        const label = isOne ? name : mixed ? `${run.name} ${name}` : `${run.name}${labelsOf(name)}`;
        const look = isOne && names.length > 1 ? lookAt(at, style.theme) : lookOf(run, style.theme, at);
        const make = (key: string, points: Points, isSuperseded: boolean) => {
          const now = { points, version: points.version, otherVersion: other?.version ?? -1, style: written };
          const before = this.made.get(key);
          const line = before && isSame(before, now) ? before.line : lineOf({ key, label, run, points, other, look, isSuperseded }, style.settings);
          next.set(key, { ...now, line });
        };
        if (style.settings.superseded) held.superseded.forEach((points, part) => make(`${run.id}\n${name}\n${part}`, points, true));
        make(`${run.id}\n${name}`, held.points, false);
      });
    }
    this.made = next;
    return [...next.values()].map((one) => one.line);
  }

  private other(run: string, settings: ChartSettings): Points | undefined {
    return settings.x.startsWith("metric:") ? this.store.held(run, settings.x.slice("metric:".length))?.points : undefined;
  }
}

function isSame(one: Omit<Made, "line">, other: Omit<Made, "line">): boolean {
  return (
    one.points === other.points && one.version === other.version && one.otherVersion === other.otherVersion && one.style === other.style
  );
}

interface Look {
  colour: string;
  dash: readonly number[];
}

function lookOf(run: ShownRun, theme: Theme, at: number): Look {
  return { colour: colourOf(run.id, theme, run.colour), dash: at ? [2 + at * 2, 3] : dashOf(run.id) };
}

/** Looks of the series of one panel of one run, in turn: two of them never share one before all are used. */
function lookAt(at: number, theme: Theme): Look {
  return { colour: colourOf("", theme, String(at)), dash: DASHES[Math.floor(at / COLOURS) % DASHES.length]! };
}

interface LineParts {
  key: string;
  label: string;
  run: ShownRun;
  points: Points;
  other: Points | undefined;
  look: Look;
  isSuperseded: boolean;
}

function lineOf({ key, label, run, points, other, look, isSuperseded }: LineParts, settings: ChartSettings): Line {
  const { length } = points;
  const xs = xColumn(settings.x, points, run, other);
  const ys = points.values.subarray(0, length);
  const toX = xFunction(settings.x, run, other);
  return {
    key,
    owner: run.id,
    label: isSuperseded ? `${label} (superseded)` : label,
    ...look,
    xs,
    ys,
    isRising: settings.x === "step" || isRising(xs),
    smoothed: isSuperseded ? null : smooth(settings.smoothing, settings.amount, xs, ys),
    band: null,
    marks: points.marks.map((mark) => ({ x: toX(mark.step, mark.time), count: mark.count, kinds: mark.kinds })),
    isSuperseded,
    steps: points.steps.subarray(0, length),
    times: points.times.subarray(0, length),
  };
}

/** Lines with bands of groups of runs. */
export function groupLines(answer: GroupsAnswer, names: readonly string[], { theme, settings }: LineStyle): Line[] {
  const labelOf = (name: string) => (isMixed(names) ? ` ${name}` : names.length > 1 ? labelsOf(name) : "");
  return answer.groups.flatMap((group) => {
    const key = group.key.map((part) => (part === null ? "none" : String(part))).join(", ");
    return group.series
      .filter((one) => names.includes(one.series))
      .map((one): Line => {
        const { xs, ys, low, high } = bandOf(one, settings.centre, settings.band);
        return {
          key: `${key}\n${one.series}`,
          owner: key,
          label: `${key}${labelOf(one.series)} (${group.runs} runs)`,
          colour: colourOf(key, theme),
          dash: [],
          xs,
          ys,
          isRising: true,
          smoothed: smooth(settings.smoothing, settings.amount, xs, ys),
          band: low && high ? { low, high } : null,
          marks: [],
          isSuperseded: false,
          steps: xs,
          times: null,
        };
      });
  });
}
