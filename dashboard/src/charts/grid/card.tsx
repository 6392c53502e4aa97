// One panel: a chart with its title, what it leaves out, its menu, and its keys.
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "../../components/button";
import { isDark } from "../../state/theme";
import { Chart, type ChartView } from "../drawing/chart";
import type { Line } from "../drawing/line";
import { delays } from "../data/delay";
import { GroupReader } from "../data/groups";
import { grouped } from "../format";
import type { Extent } from "../maths/scales";
import * as address from "./address";
import { CardMenu } from "./card_menu";
import { chartColours } from "./colours_of_page";
import { active, hovered } from "./hover";
import { Legend } from "./legend";
import { groupLines, LineMaker } from "./lines";
import type { CardProps } from "./props";
import { effective, overSteps, type ChartSettings } from "./settings";

export function ChartCard(props: CardProps) {
  const { panel, names, runs, store, groupBy, isFull = false } = props;
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const current = useRef(props);
  current.current = props;
  const lines = useSignal<readonly Line[]>([]);
  const left = useSignal({ outside: 0, hidden: 0 });
  const read = useSignal("");
  const unit = useSignal("");
  const dropped = useSignal(0);
  const isSeen = useSignal(false);
  const problem = useSignal<unknown>(null);
  const meant = store.x(names);
  const chosen = effective(address.settings.value, address.OVERRIDES.value[panel], meant);
  const settings = groupBy?.length ? overSteps(chosen) : chosen;
  const otherPanel = settings.x.startsWith("metric:") ? store.meanings.value.panelOf(settings.x.slice("metric:".length)) : "";

  useEffect(() => {
    const element = host.current!;
    const made = new Chart(element, {
      onZoom: (x, y) => address.zoom(panel, x, y),
      onReset: () => address.zoom(panel, null, null),
      onHover: (owner) => (hovered.value = owner),
      onPick: (reading) => current.current.onPick?.(reading),
      onRead: (text) => (read.value = text),
      onDrawn: (extent, x) => {
        element.dataset.x = x.join("..");
        if (!isSameLeft(extent, left.peek())) left.value = extent;
        setTimeout(() => delays.drawn(panel)); // after the frame
      },
    });
    chart.current = made;
    made.setSeen(false);
    const seen = new IntersectionObserver(
      (entries) => {
        isSeen.value = entries.at(-1)!.isIntersecting;
        made.setSeen(isSeen.value);
      },
      { rootMargin: "200px" },
    );
    seen.observe(element);
    return () => {
      seen.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [panel]);

  const reader = useRef<GroupReader | null>(null);
  reader.current ??= new GroupReader(() => chart.current?.changed(), (error) => (problem.value = error));
  useEffect(() => () => reader.current?.close(), []);
  const ask = (again: boolean) => {
    const { groupBy: keys, runs: shown, names: series, window } = current.current;
    const range = window?.axis === "step" ? window : null;
    if (keys?.length) reader.current?.ask({ runs: shown.map((run) => run.id), group_by: keys, names: series, range }, { again });
  };

  useEffect(() => {
    if (!isSeen.value) return undefined;
    const heard = () => {
      ask(true);
      chart.current?.changed();
    };
    const ends = [store.want(panel, heard)];
    if (otherPanel) ends.push(store.want(otherPanel, heard));
    return () => ends.forEach((end) => end());
  }, [isSeen.value, panel, store, otherPanel]);

  const maker = useRef<LineMaker | null>(null);
  maker.current ??= new LineMaker(store);
  const theme = isDark.value ? "dark" : "light";
  useEffect(() => {
    if (isSeen.value) ask(false);
  }, [isSeen.value, JSON.stringify([runs.map((run) => run.id), names, groupBy, props.window])]);
  useEffect(() => {
    const source = () => {
      const style = { theme, settings } as const;
      const answer = groupBy?.length ? reader.current?.answer : null;
      const made = groupBy?.length ? (answer ? groupLines(answer, names, style) : []) : maker.current!.lines(names, runs, style);
      if (!isSameLegend(made, lines.peek())) lines.value = made;
      const all = runs.flatMap((run) => names.flatMap((name) => store.held(run.id, name) ?? []));
      const units = new Set(all.map((one) => one.unit));
      unit.value = units.size === 1 ? [...units][0]! : "";
      dropped.value = all.filter((one) => one.isDropped).length;
      mark(host.current, made);
      return made;
    };
    chart.current?.show(source, { ...viewOf(settings), unit: unit.value, mark: address.MARK.value });
  }, [panel, store, theme, address.MARK.value, unit.value, JSON.stringify([settings, names, runs, groupBy, props.window])]);
  useSignalEffect(() => chart.current?.highlight(hovered.value));

  const { outside, hidden } = left.value;
  return (
    <figure
      class={`chart-card${isFull ? " full" : ""}`}
      data-panel={panel}
      onPointerEnter={() => (active.value = panel)}
      onFocusIn={() => (active.value = panel)}
    >
      <figcaption>
        <span class="chart-title cut" title={panel}>{panel}{unit.value && <span class="quiet"> {unit.value}</span>}</span>
        {outside > 0 && (
          <Button kind="bare" class="chart-note" title="Points far from the others lie outside the scale. Show all" onClick={() => address.override(panel, { clip: false })}>
            {grouped(outside)} outside
          </Button>
        )}
        {hidden > 0 && (
          <Button kind="bare" class="chart-note" title="A logarithm has no place for values of 0 and below. Show them on a symmetric log scale" onClick={() => address.override(panel, { yScale: "symlog" })}>
            {grouped(hidden)} ≤ 0
          </Button>
        )}
        <CardMenu {...props} settings={settings} meant={meant} unit={unit.value} chart={chart} />
      </figcaption>
      <div
        class="chart-host"
        ref={host}
        tabIndex={0}
        role="group"
        aria-roledescription="chart"
        aria-label={`${panel}: ${lines.value.length} lines. Arrow keys move between points`}
        onKeyDown={(event) => chartKey(event, chart.current, () => address.zoom(panel, null, null))}
      />
      {dropped.value > 0 && <p class="chart-dropped">Retention dropped the points of {grouped(dropped.value)} of these series.</p>}
      {problem.value ? <div class="chart-empty">{String((problem.value as Error).message)}</div> : null}
      {props.hasLegend && <Legend lines={lines.value} />}
      <output class="chart-reading" aria-live="polite">{read.value}</output>
    </figure>
  );
}

function isSameLeft(one: Extent, other: { outside: number; hidden: number }): boolean {
  return one.outside === other.outside && one.hidden === other.hidden;
}

function isSameLegend(one: readonly Line[], other: readonly Line[]): boolean {
  return one.length === other.length && one.every((line, at) => line.label === other[at]!.label && line.colour === other[at]!.colour);
}

/** What tests and people with developer tools can see of a canvas. */
function mark(host: HTMLElement | null, lines: readonly Line[]): void {
  if (!host) return;
  const found = { points: 0, max: -Infinity, sum: 0, smoothed: 0, bands: 0, marks: 0 };
  for (const line of lines) {
    found.points += line.xs.length;
    for (const y of line.ys) {
      if (y > found.max) found.max = y;
      if (Number.isFinite(y)) found.sum += y;
    }
    if (line.smoothed) found.smoothed += 1;
    if (line.band) found.bands += 1;
    for (const { count } of line.marks) found.marks += count;
  }
  host.dataset.lines = String(lines.length);
  for (const [name, value] of Object.entries(found)) host.dataset[name] = String(value);
}

function viewOf(settings: ChartSettings): ChartView {
  const { x, xScale, yScale, clip, zoomX, zoomY, tooltip } = settings;
  return { xAxis: x, xScale, yScale, clip, zoomX, zoomY, tooltip, colours: chartColours() };
}

function chartKey(event: KeyboardEvent, chart: Chart | null, reset: () => void): void {
  const actions: Record<string, () => void> = {
    ArrowLeft: () => chart?.moveCursor(-1),
    ArrowRight: () => chart?.moveCursor(1),
    Home: () => chart?.moveCursor("first"),
    End: () => chart?.moveCursor("last"),
    Enter: () => chart?.pick(),
    "+": () => chart?.zoomBy(0.5),
    "-": () => chart?.zoomBy(2),
    "0": reset,
  };
  const action = actions[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}
