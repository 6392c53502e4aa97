// What is read for the zoom of a page.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sinceBegin, stepsBetween } from "../maths/axes";
import type { Points } from "../maths/points";
import type { SeriesStore, Window } from "../data/store";
import * as address from "./address";
import type { ShownRun } from "./lines";
import { windowOf, type ChartSettings } from "./settings";

/**
 * Return the range that holds a zoom. The API knows steps, times and times since the start: a zoom by process time or by
 * a metric becomes the smallest of those that holds it in every run. null: everything, also while `other` has not come.
 */
export function rangeOf({ x, zoomX }: ChartSettings, runs: readonly ShownRun[], other: (run: string) => Points | undefined): Window {
  if (!zoomX) return null;
  const known = windowOf({ x, zoomX });
  if (known) return known;
  const [from, to] = zoomX;
  if (x === "process") {
    if (!runs.length) return null;
    const low = Math.min(...runs.map((run) => sinceBegin(run, from)));
    const high = Math.max(...runs.map((run) => sinceBegin(run, to)));
    return { axis: "relative", from: Math.floor(low * 1e6), to: Math.ceil(high * 1e6) };
  }
  const spans = runs.flatMap((run) => {
    const points = other(run.id);
    const span = points && stepsBetween(points, from, to);
    return span ? [span] : [];
  });
  if (!spans.length) return null;
  return { axis: "step", from: Math.min(...spans.map(([first]) => first)), to: Math.max(...spans.map(([, last]) => last)) };
}

/** Let the store read what the zoom of the page shows, and return it. */
export function useWindow(store: SeriesStore, runs: readonly ShownRun[]): Window {
  const settings = address.settings.value;
  const metric = settings.zoomX && settings.x.startsWith("metric:") ? settings.x.slice("metric:".length) : null;
  const come = useSignal(0); // runs whose metric on the x axis was read
  const count = () => (metric === null ? 0 : runs.filter((run) => store.heldWhole(run.id, metric)).length);
  const panel = metric && store.meanings.value.panelOf(metric); // whose series are read while it is wanted
  useEffect(() => (panel === null ? undefined : store.want(panel, () => (come.value = count()))), [store, panel, metric, runs.length]);
  void come.value;
  const window = rangeOf(settings, runs, (run) => (metric === null ? undefined : store.heldWhole(run, metric)?.points));
  useEffect(() => store.setWindow(window, settings.superseded), [store, JSON.stringify(window), settings.superseded]);
  return window;
}
