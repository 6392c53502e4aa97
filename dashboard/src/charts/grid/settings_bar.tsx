// Settings of all charts of a page.
import type { ComponentChildren } from "preact";
import { Button } from "../../components/button";
import { Menu } from "../../components/menu";
import { metricsOf } from "../data/names";
import type { SeriesStore } from "../data/store";
import * as address from "./address";
import type { TooltipOrder } from "../drawing/tooltip";
import type { XAxis } from "../maths/axes";
import type { Smoothing } from "../maths/smoothing";

const AXES: readonly [XAxis, string][] = [
  ["step", "step"],
  ["time", "time of day"],
  ["relative", "time since start"],
  ["process", "process time"],
];
const MOST_METRICS = 200;
const TOOLTIP_ORDERS: readonly [TooltipOrder, string][] = [
  ["high", "highest first"],
  ["low", "lowest first"],
  ["near", "nearest first"],
  ["name", "by name"],
];
const TOOLTIP_ROWS = [6, 12, 24] as const;

export function SettingsBar({ store, children }: { store: SeriesStore; children?: ComponentChildren }) {
  const { kind, amount } = address.SMOOTHING.value;
  const x = address.X.value;
  const metrics = metricsOf(store.panels.value.values(), MOST_METRICS);
  const chosen = x.startsWith("metric:") ? x.slice("metric:".length) : "";
  return (
    <div class="chart-settings" role="toolbar" aria-label="Settings of all charts">
      <input
        id="panels-filter"
        type="search"
        placeholder="Filter charts (regex)"
        aria-label="Filter charts by a regular expression"
        value={address.FILTER.value}
        onInput={(event) => address.FILTER.replace(event.currentTarget.value)}
      />
      <label>
        x
        <select aria-label="x axis" value={x} onChange={(event) => setAxis(event.currentTarget.value as XAxis)}>
          {AXES.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
          <optgroup label="a metric">
            {(chosen && !metrics.includes(chosen) ? [chosen, ...metrics] : metrics).map((name) => <option key={name} value={`metric:${name}`}>{name}</option>)}
          </optgroup>
        </select>
      </label>
      <label>
        y
        <select aria-label="y scale" value={address.Y_SCALE.value} onChange={(event) => (address.Y_SCALE.value = event.currentTarget.value as typeof address.Y_SCALE.value)}>
          <option value="linear">linear</option>
          <option value="log">log</option>
          <option value="symlog">symmetric log</option>
        </select>
      </label>
      <label>
        smooth
        <select aria-label="Smoothing" value={kind} onChange={(event) => (address.SMOOTHING.value = { kind: event.currentTarget.value as Smoothing, amount })}>
          <option value="none">none</option>
          <option value="ema">moving average</option>
          <option value="gaussian">Gaussian</option>
        </select>
      </label>
      {kind !== "none" && (
        <input type="range" min="0" max="0.99" step="0.01" value={amount} aria-label="Amount of smoothing" title={`${amount}`} onInput={(event) => address.SMOOTHING.replace({ kind, amount: Number(event.currentTarget.value) })} />
      )}
      <Menu label="More" icon="settings" title="More settings of all charts" items={() => moreItems(store)} />
      {children}
      {address.ZOOM.value && <Button icon="undo" onClick={() => (address.ZOOM.value = null)} title="Show all of every chart (shift z; z takes back the last zoom)">zoom</Button>}
    </div>
  );
}

function moreItems(store: SeriesStore) {
  const toggle = (label: string, one: { value: boolean }) => ({ label, chosen: one.value, run: () => (one.value = !one.value) });
  const isLog = address.X_SCALE.value === "log";
  const { order, rows } = address.TOOLTIP.value;
  return [
    toggle("clip values far outside", address.CLIP),
    toggle("show superseded points", address.SUPERSEDED),
    ...(store.meanings.value.hides ? [toggle("show series that code hides", address.HIDDEN_TOO)] : []),
    { label: "log x", chosen: isLog, run: () => (address.X_SCALE.value = isLog ? "linear" : "log") },
    ...TOOLTIP_ORDERS.map(([value, text]) => ({ label: `values by the pointer: ${text}`, chosen: order === value, run: () => (address.TOOLTIP.value = { order: value, rows }) })),
    ...TOOLTIP_ROWS.map((count) => ({ label: `at most ${count} of them`, chosen: rows === count, run: () => (address.TOOLTIP.value = { order, rows: count }) })),
  ];
}

/** Another x axis has other units: the zoom of the old one means nothing there. */
function setAxis(x: XAxis): void {
  address.ZOOM.replace(null);
  address.X.value = x;
}
