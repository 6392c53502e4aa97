// Colours of the style sheet, for canvases.
import type { ChartColours } from "../drawing/plot_options";

/** Colours of the theme that is shown now. */
export function chartColours(): ChartColours {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string) => style.getPropertyValue(name).trim() || "#888888";
  return { text: read("--quiet"), grid: read("--grid"), background: read("--card"), mark: read("--bad") };
}
