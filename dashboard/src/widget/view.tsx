// A chart in a notebook: one plot for each panel, and controls for how lines are shown.
import { useSignal, useSignalEffect, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Chart, type ChartView } from "../charts/drawing/chart";
import type { Line } from "../charts/drawing/line";
import { hovered } from "../charts/grid/hover";
import { Legend } from "../charts/grid/legend";
import { LineMaker } from "../charts/grid/lines";
import { DEFAULTS, windowOf, type ChartSettings } from "../charts/grid/settings";
import type { ChartData } from "./data";

type Span = readonly [number, number] | null;

/** How lines are shown: what Python asked for, and then what a person chose. */
export interface Look {
  x: "step" | "time" | "relative";
  yScale: ChartView["yScale"];
  smoothing: number;
  height: number;
}

export interface ViewProps {
  data: ChartData;
  look: Signal<Look>;
  problem: Signal<string>;
  isDark: Signal<boolean>;
  /** Charts of one output share their cursor by this name. */
  name: string;
}

export function View(props: ViewProps) {
  const { data, look, problem, isDark } = props;
  const zoom = useSignal<Span>(null);
  const change = (some: Partial<Look>) => {
    if (some.x) setZoom(null);
    look.value = { ...look.value, ...some };
  };
  const setZoom = (x: Span) => {
    zoom.value = x;
    data.setWindow(windowOf({ x: look.value.x, zoomX: x }));
  };
  const panels = [...data.panels.value];
  return (
    <div class="gateway-chart" data-theme={isDark.value ? "dark" : "light"}>
      <p class="chart-bar">
        <Choice label="x" value={look.value.x} values={["step", "time", "relative"]} onChange={(x) => change({ x })} />
        <Choice label="y" value={look.value.yScale} values={["linear", "log", "symlog"]} onChange={(yScale) => change({ yScale })} />
        <label>
          smoothing
          <input type="range" min="0" max="0.99" step="0.01" value={look.value.smoothing} onInput={(event) => change({ smoothing: Number(event.currentTarget.value) })} />
        </label>
        {zoom.value && <button type="button" onClick={() => setZoom(null)}>Show all</button>}
        {data.cut.value && <span>{data.cut.value}</span>}
      </p>
      {problem.value && <p class="chart-problem" role="alert">{problem.value}</p>}
      {!panels.length && !problem.value && <p class="chart-empty">No points yet.</p>}
      {panels.map(([panel, names]) => (
        <Panel key={panel} {...props} panel={panel} names={names} zoom={zoom.value} setZoom={setZoom} />
      ))}
    </div>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  values: readonly T[];
  onChange: (value: T) => void;
}

function Choice<T extends string>({ label, value, values, onChange }: ChoiceProps<T>) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {values.map((one) => <option key={one}>{one}</option>)}
      </select>
    </label>
  );
}

interface PanelProps extends ViewProps {
  panel: string;
  names: readonly string[];
  zoom: Span;
  setZoom: (x: Span) => void;
}

function Panel({ data, look, isDark, name, panel, names, zoom, setZoom }: PanelProps) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const zoomY = useSignal<Span>(null);
  const lines = useSignal<readonly Line[]>([]);
  const read = useSignal("");
  const unit = useSignal("");
  const zoomBoth = useRef<(x: Span, y: Span) => void>(() => undefined);
  zoomBoth.current = (x, y) => {
    setZoom(x);
    zoomY.value = y;
  };
  useEffect(() => {
    const made = new Chart(
      host.current!,
      {
        onZoom: (x, y) => zoomBoth.current(x, y),
        onReset: () => zoomBoth.current(null, null),
        onHover: (owner) => (hovered.value = owner),
        onRead: (text) => (read.value = text),
      },
      name,
    );
    chart.current = made;
    return () => made.destroy();
  }, []);
  const maker = useRef<LineMaker | null>(null);
  maker.current ??= new LineMaker(data);
  const settings = settingsOf(look.value, zoom, zoomY.value);
  const theme = isDark.value ? "dark" : "light";
  const runs = data.runs.value;
  useEffect(() => {
    const source = () => {
      const made = maker.current!.lines(names, runs, { theme, settings });
      if (made.length !== lines.peek().length || made.some((line, at) => line.label !== lines.peek()[at]!.label || line.colour !== lines.peek()[at]!.colour)) lines.value = made;
      const held = runs.flatMap((run) => names.flatMap((one) => data.held(run.id, one) ?? []));
      unit.value = held.find((one) => one.unit)?.unit ?? "";
      host.current!.dataset.points = String(held.reduce((sum, one) => sum + one.points.length, 0)); // for tests
      return made;
    };
    chart.current?.show(source, { ...settings, xAxis: settings.x, colours: coloursOf(host.current!) });
  }, [JSON.stringify([settings, names, runs, theme])]);
  useSignalEffect(() => {
    data.version.value;
    chart.current?.changed();
  });
  useSignalEffect(() => chart.current?.highlight(hovered.value));
  return (
    <figure data-panel={panel}>
      <figcaption>{panel} {unit.value && <span>{unit.value}</span>}</figcaption>
      <div
        class="chart-host"
        ref={host}
        style={{ height: `${look.value.height}px` }}
        tabIndex={0}
        role="group"
        aria-roledescription="chart"
        aria-label={`${panel}: ${lines.value.length} lines. Arrow keys move between points`}
        onKeyDown={(event) => onKey(event, chart.current)}
      />
      <Legend lines={lines.value} />
      <output class="chart-reading" aria-live="polite">{read.value}</output>
    </figure>
  );
}

function settingsOf({ x, yScale, smoothing }: Look, zoomX: Span, zoomY: Span): ChartSettings {
  return { ...DEFAULTS, x, yScale, smoothing: smoothing > 0 ? "ema" : "none", amount: smoothing, zoomX, zoomY };
}

function coloursOf(element: Element): ChartView["colours"] {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(name).trim() || "#888888";
  return { text: read("--quiet"), grid: read("--grid"), background: read("--card"), mark: read("--bad") };
}

function onKey(event: KeyboardEvent, chart: Chart | null): void {
  const by = ({ ArrowLeft: -1, ArrowRight: 1, Home: "first", End: "last" } as const)[event.key];
  if (by !== undefined) chart?.moveCursor(by);
  else if (event.key === "+" || event.key === "-") chart?.zoomBy(event.key === "+" ? 0.5 : 2);
  else return;
  event.preventDefault();
  event.stopPropagation(); // a notebook has keys of its own
}
