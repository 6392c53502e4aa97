// What the address says about a comparison, besides its runs.
import { field } from "../state/address";
import { choice, flag, list, number, text } from "../state/codecs";

export const VIEWS = ["diff", "charts", "scatter", "parallel", "images", "divergence"] as const;
export type View = (typeof VIEWS)[number];

export const SHOW = field("show", choice<View>(VIEWS));
export const CHANGED = field("changed", flag(true));
/** The run that others are compared with. */
export const BASELINE = field("base", text());
/** Columns of the scatter plot. */
export const ACROSS = field("sx", text());
export const UP = field("sy", text());
/** Axes of the parallel coordinates. */
export const AXES = field("axes", list());
/** Up to which step images are shown; "": to the last. */
export const IMAGE_STEP = field("step", text());
/** The two runs of a divergence, and what counts as equal. */
export const A = field("a", text());
export const B = field("b", text());
export const ABSOLUTE = field("atol", number(0));
export const RELATIVE = field("rtol", number(0));
