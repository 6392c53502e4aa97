// What the address says about a run's page, besides its charts.
import { change, field } from "../state/address";
import { choice, flag, number, text } from "../state/codecs";
import { MARK } from "../charts/grid/address";

export const VIEWS = ["overview", "steps", "system", "console", "artifacts", "values", "record"] as const;
export type View = (typeof VIEWS)[number];

export const VIEW = field("view", choice<View>(VIEWS));
/** Console: a time (µs) that is in the middle; 0: none. */
export const AT = field("at", number(0));
export const SEARCH = field("search", text());
export const IS_REGEX = field("regex", flag());
export const STREAM = field("stream", text());
/** The artifact whose preview is shown, and the step of images. */
export const FILE = field("file", text());
export const IMAGE_STEP = field("imagestep", number(NaN));
/** The name whose values are shown. */
export const NAME = field("name", text());
/** The metric of the heat map of the machine. */
export const METRIC = field("metric", text());

/** Show the console at a time, µs: one entry of the history, so that back leads to the chart. */
export function openConsole(time: number): void {
  change([VIEW.written("console"), AT.written(Math.round(time)), SEARCH.written("")]);
}

/** Show the charts with a time marked, µs. */
export function openCharts(time: number): void {
  change([VIEW.written("overview"), MARK.written(Math.round(time))]);
}
