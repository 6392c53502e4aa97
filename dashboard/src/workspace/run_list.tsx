// The runs at the left of a workspace: which have lines, and in which colour.
import { useRef } from "preact/hooks";
import { useCommands } from "../app/commands";
import { Icon } from "../components/icon";
import { colourOf, COLOURS as HUES } from "../charts/colours";
import type { RunRow } from "../charts/data/runs";
import { hovered } from "../charts/grid/hover";
import { runPage } from "../state/address";
import { isDark } from "../state/theme";
import { COLOURS, HIDDEN } from "./address";

export function RunList({ runs }: { runs: readonly RunRow[] }) {
  const list = useRef<HTMLUListElement>(null);
  const theme = isDark.value ? "dark" : "light";
  const hidden = new Set(HIDDEN.value);
  const focus = (by: number) => {
    const rows = [...(list.current?.querySelectorAll<HTMLElement>("[data-run]") ?? [])];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.querySelector<HTMLElement>("input")?.focus();
  };
  useCommands(
    () => [
      { label: "Next run", keys: ["j"], section: "Runs", run: () => focus(1), keyOnly: true },
      { label: "Run before", keys: ["k"], section: "Runs", run: () => focus(-1), keyOnly: true },
      { label: "Filter", keys: ["/"], section: "Runs", run: () => document.getElementById("filter")?.focus() },
      { label: "Group the runs", keys: ["shift+g"], section: "Runs", run: () => document.getElementById("group-by")?.focus() },
      { label: "Show the lines of every run", section: "Runs", run: () => (HIDDEN.value = []) },
    ],
    [],
  );
  const only = (id: string) => (HIDDEN.value = runs.map((run) => run.run_id).filter((one) => one !== id));
  return (
    <ul class="run-list" ref={list} aria-label="Runs of these charts">
      {runs.map((run) => (
        <li
          key={run.run_id}
          data-run={run.run_id}
          class={hovered.value === run.run_id ? "run-row lit" : "run-row"}
          onPointerEnter={() => (hovered.value = run.run_id)}
          onPointerLeave={() => (hovered.value = null)}
          onFocusIn={() => (hovered.value = run.run_id)}
          onFocusOut={() => (hovered.value = null)}
        >
          <button
            type="button"
            class="swatch run-swatch"
            style={{ background: colourOf(run.run_id, theme, COLOURS.value[run.run_id]) }}
            title={`Another colour for ${run.name || run.run_id}`}
            aria-label={`Another colour for ${run.name || run.run_id}`}
            onClick={() => recolour(run.run_id)}
          />
          <label class="cut" title={`${run.name || run.run_id} (double click: only this one)`} onDblClick={() => only(run.run_id)}>
            <input type="checkbox" checked={!hidden.has(run.run_id)} onChange={() => toggle(run.run_id)} />
            <span class={`run-dot ${run.state}`} title={run.state} />
            {run.name || run.run_id}
          </label>
          <a href={runPage(run.run_id)} title="Open the run" aria-label={`Open ${run.name || run.run_id}`}><Icon name="right" /></a>
        </li>
      ))}
    </ul>
  );
}

function toggle(id: string): void {
  const hidden = HIDDEN.peek();
  HIDDEN.value = hidden.includes(id) ? hidden.filter((one) => one !== id) : [...hidden, id];
}

function recolour(id: string): void {
  const now = COLOURS.peek()[id];
  const next = now === undefined ? 0 : Number(now) + 1;
  const { [id]: _, ...rest } = COLOURS.peek();
  COLOURS.value = next < HUES ? { ...rest, [id]: String(next) } : rest;
}
