/** The state of a run: a mark with a shape of its own besides its colour, and its word. */
import type { RunState } from "../api/types";

const MARKS: Record<RunState, string> = {
  created: "○",
  running: "◐",
  finished: "●",
  failed: "✕",
  killed: "◼",
  lost: "◌",
};

export function Status({ state, title }: { state: string; title?: string }) {
  return (
    <span class={`status ${state}`} title={title}>
      <span class="status-mark" aria-hidden="true">{MARKS[state as RunState] ?? "○"}</span>
      {state}
    </span>
  );
}
