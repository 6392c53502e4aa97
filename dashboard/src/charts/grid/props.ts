// What a panel is given by its page.
import type { Reading } from "../drawing/line";
import type { SeriesStore, Window } from "../data/store";
import type { ShownRun } from "./lines";

export interface CardProps {
  panel: string;
  /** Written names of its series. */
  names: readonly string[];
  runs: readonly ShownRun[];
  store: SeriesStore;
  /** Groups instead of runs. */
  groupBy?: readonly (readonly [kind: string, name: string])[];
  /** What the store reads while there is a zoom. */
  window: Window;
  isFull?: boolean;
  hasLegend?: boolean;
  /** A click or Enter on a point. */
  onPick?: (reading: Reading) => void;
  /** Fill the screen, or no longer. */
  onFull?: () => void;
}
