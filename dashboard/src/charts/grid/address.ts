// What the address says about the charts of a page: one place for all pages that have charts.
import { computed } from "@preact/signals";
import { change, field } from "../../state/address";
import { choice, flag, json, list, number, text } from "../../state/codecs";
import type { BandKind, Centre } from "../maths/bands";
import type { ScaleKind } from "../maths/scales";
import { isOverrides, range, smoothing, tooltip, xAxis, type ChartSettings, type Override } from "./settings";

export const X = field("x", xAxis);
export const X_SCALE = field("xscale", choice<"linear" | "log">(["linear", "log"]));
export const Y_SCALE = field("y", choice<ScaleKind>(["linear", "log", "symlog"]));
export const SMOOTHING = field("smooth", smoothing);
export const CLIP = field("clip", flag());
export const ZOOM = field("zoom", range);
export const SUPERSEDED = field("superseded", flag());
export const CENTRE = field("centre", choice<Centre>(["mean", "median"]));
export const BAND = field("band", choice<BandKind>(["minmax", "std", "stderr", "ci95", "none"]));
export const TOOLTIP = field("tip", tooltip);
/** What panels do their own way, by their name. */
export const OVERRIDES = field("panel", json<Record<string, Override>>({}, isOverrides));
/** Series are shown, too, that code hides. */
export const HIDDEN_TOO = field("hiddentoo", flag());
export const FILTER = field("panels", text());
export const PINNED = field("pinned", list());
export const ORDER = field("order", list());
export const FOLDED = field("folded", list());
/** A time that each chart marks, µs; 0: none. */
export const MARK = field("mark", number(0));
/** The panel that fills the screen. */
export const FULL = field("full", text());

/** The settings of all panels. */
export const settings = computed((): ChartSettings => ({
  x: X.value,
  xScale: X_SCALE.value,
  yScale: Y_SCALE.value,
  smoothing: SMOOTHING.value.kind,
  amount: SMOOTHING.value.amount,
  clip: CLIP.value,
  zoomX: ZOOM.value,
  zoomY: null,
  superseded: SUPERSEDED.value,
  centre: CENTRE.value,
  band: BAND.value,
  tooltip: TOOLTIP.value,
}));

/** Change what a panel does its own way; undefined takes a part back. */
export function override(panel: string, next: { [Part in keyof Override]: Override[Part] | undefined }): void {
  OVERRIDES.value = overridden(panel, next);
}

function overridden(panel: string, next: object): Record<string, Override> {
  const merged = { ...OVERRIDES.peek()[panel], ...next } as Record<string, unknown>;
  const kept = Object.entries(merged).filter(([, value]) => value !== undefined && value !== null);
  const all = { ...OVERRIDES.peek() };
  if (kept.length) all[panel] = Object.fromEntries(kept);
  else delete all[panel];
  return all;
}

/** Zoom: x of all panels, y of one, as one step that can be undone. */
export function zoom(panel: string, x: readonly [number, number] | null, y: readonly [number, number] | null): void {
  change([ZOOM.written(x), OVERRIDES.written(overridden(panel, { zoomY: y ?? undefined }))]);
}
