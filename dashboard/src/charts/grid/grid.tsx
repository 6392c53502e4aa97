// The panels of a page, in sections: what the run page, the workspace and the compare page show of series.
import type { ComponentChild, RefObject } from "preact";
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useCommands } from "../../app/commands";
import { Button } from "../../components/button";
import { Dialog } from "../../components/dialog";
import { Icon } from "../../components/icon";
import { Problem } from "../../components/problem";
import { undo } from "../../state/address";
import { filterOf, moved, sectionsOf, type Section } from "../data/names";
import type { Panels } from "../data/meanings";
import type { SeriesStore } from "../data/store";
import { grouped } from "../format";
import * as address from "./address";
import { ChartCard } from "./card";
import { active } from "./hover";
import type { ShownRun } from "./lines";
import type { CardProps } from "./props";
import { useWindow } from "./window";

const PANELS_AT_ONCE = 12; // of a section; more come as one scrolls
const SECTIONS_AT_ONCE = 24; // 10,000 series may each have a prefix of their own
const PANEL_PX = { width: 350, height: 290 }; // about; what is not drawn yet takes its place

export interface GridProps {
  store: SeriesStore;
  runs: readonly ShownRun[];
  groupBy?: CardProps["groupBy"];
  onPick?: CardProps["onPick"];
  /** Each chart names its lines itself: where no list of runs does. */
  hasLegend?: boolean;
}

export function ChartGrid({ store, runs, groupBy, onPick, hasLegend = false }: GridProps) {
  const window = useWindow(store, runs);
  const panels = useComputed(() => (address.HIDDEN_TOO.value ? store.panels.value : store.meanings.value.shown(store.panels.value)));
  const sections = useComputed(() =>
    sectionsOf(panels.value.keys(), {
      pinned: address.PINNED.value,
      order: address.ORDER.value,
      filter: filterOf(address.FILTER.value),
    }),
  ).value;
  const all = sections.flatMap((section) => section.panels);
  const count = useSignal(SECTIONS_AT_ONCE);
  const isCut = count.value < sections.length;
  const end = useMore(isCut, () => (count.value += SECTIONS_AT_ONCE), count.value);
  const named = address.FULL.value; // a panel, or a series of one
  const full = named && !store.panels.value.has(named) ? store.meanings.value.panelOf(named) : named;
  const step = (by: number) => {
    const at = all.indexOf(address.FULL.peek());
    if (at >= 0 && all.length) address.FULL.replace(all[(at + by + all.length) % all.length]!);
  };
  const latest = useRef(sections);
  latest.current = sections;
  const move = (by: number) => {
    const panel = active.peek() ?? "";
    const inside = latest.current.find((section) => section.panels.includes(panel))?.panels ?? [];
    const other = inside[inside.indexOf(panel) + by];
    if (other !== undefined) reorder(latest.current, panel, other);
  };
  useCommands(
    () => [
      { label: "Fill the screen with the chart under the pointer", keys: ["f"], section: "Charts", run: () => (address.FULL.value = active.peek() ?? "") },
      { label: "Undo the last zoom", keys: ["z"], section: "Charts", run: () => void undo() },
      { label: "Show all of every chart", keys: ["shift+z"], section: "Charts", run: resetZoom },
      { label: "Move the chart under the pointer ahead", keys: ["["], section: "Charts", run: () => move(-1) },
      { label: "Move it back", keys: ["]"], section: "Charts", run: () => move(1) },
      { label: "Smooth the lines, or not", keys: ["s"], section: "Charts", run: toggleSmoothing },
      { label: "Filter the charts by name", keys: ["shift+f"], section: "Charts", run: () => document.getElementById("panels-filter")?.focus() },
    ],
    [store],
  );
  const card = (panel: string, more: Partial<CardProps> = {}) => {
    const props: CardProps = { panel, names: [...(panels.value.get(panel) ?? store.panels.value.get(panel) ?? [])].sort(), runs, store, window, hasLegend };
    if (groupBy) props.groupBy = groupBy;
    if (onPick) props.onPick = onPick;
    return <ChartCard key={panel} {...props} {...more} />;
  };
  return (
    <div class="chart-grid">
      <Problem error={store.problem.value} />
      {sections.slice(0, count.value).map((section, at) => (
        <SectionOf key={section.name} section={section} sections={sections} isFirst={at === 0} card={(panel) => card(panel, { onFull: () => (address.FULL.value = panel) })} />
      ))}
      {isCut && <div ref={end} class="chart-end" style={{ height: `${PANEL_PX.height}px` }} />}
      {store.isReady.value && !all.length && <p class="chart-empty">{emptyText(store, panels.value)}</p>}
      {full && store.panels.value.has(full) && (
        <Dialog title={full} class="chart-full" bare onClose={() => (address.FULL.value = "")}>
          <div class="chart-full-body" onKeyDown={(event) => fullKey(event, step)}>
            {card(full, { isFull: true, hasLegend: true, onFull: () => (address.FULL.value = "") })}
            <p class="chart-full-tools">
              <Button icon="left" title="The chart before (Page Up)" onClick={() => step(-1)} />
              <span class="quiet">{all.indexOf(full) + 1} of {all.length}</span>
              <Button icon="right" title="The next chart (Page Down)" onClick={() => step(1)} />
            </p>
          </div>
        </Dialog>
      )}
    </div>
  );
}

interface SectionProps {
  section: Section;
  sections: readonly Section[];
  /** Drawn at once; others when they come near the screen. */
  isFirst: boolean;
  card: (panel: string) => ComponentChild;
}

function SectionOf({ section: { name, panels }, sections, isFirst, card }: SectionProps) {
  const shown = useSignal(isFirst ? PANELS_AT_ONCE : 0);
  const isFolded = address.FOLDED.value.includes(name);
  const isCut = !isFolded && shown.value < panels.length;
  const end = useMore(isCut, () => (shown.value += PANELS_AT_ONCE), shown.value);
  const title = name || "charts";
  return (
    <section class="chart-section" aria-label={title}>
      <h2>
        <button type="button" class="button bare" aria-expanded={!isFolded} onClick={() => (address.FOLDED.value = toggled(address.FOLDED.value, name))}>
          <Icon name={isFolded ? "shut" : "open"} />
          {title} <span class="quiet">{grouped(panels.length)}</span>
        </button>
      </h2>
      {!isFolded && (
        <div class="chart-panels">
          {panels.slice(0, shown.value).map((panel) => (
            <div key={panel} class="chart-place" {...dragging(panel, sections)}>{card(panel)}</div>
          ))}
        </div>
      )}
      {isCut && <div ref={end} class="chart-end" style={{ height: `${placeOf(panels.length - shown.value)}px` }} />}
    </section>
  );
}

/** Returns the ref of what ends a list that is cut: `more` is called as it comes near the screen. */
function useMore(isCut: boolean, more: () => void, shown: number): RefObject<HTMLDivElement | null> {
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isCut || !end.current) return undefined;
    const seen = new IntersectionObserver((entries) => entries.at(-1)!.isIntersecting && more(), { rootMargin: "400px" });
    seen.observe(end.current);
    return () => seen.disconnect();
  }, [isCut, shown]);
  return end;
}

/** Height that panels need which are not drawn yet, in CSS pixels: of as many as come next. */
function placeOf(panels: number): number {
  const inRow = Math.max(1, Math.floor(innerWidth / PANEL_PX.width));
  return Math.ceil(Math.min(panels, PANELS_AT_ONCE) / inRow) * PANEL_PX.height;
}

const DRAGGED = "text/x-panel";

// The title is the handle: the plot itself is dragged to zoom.
function dragging(panel: string, sections: readonly Section[]) {
  return {
    draggable: true,
    onDragStart: (event: DragEvent) => {
      const isHandle = document.elementFromPoint(event.clientX, event.clientY)?.closest(".chart-title");
      if (isHandle) event.dataTransfer?.setData(DRAGGED, panel);
      else event.preventDefault();
    },
    onDragOver: (event: DragEvent) => event.dataTransfer?.types.includes(DRAGGED) && event.preventDefault(),
    onDrop: (event: DragEvent) => {
      event.preventDefault();
      const other = event.dataTransfer?.getData(DRAGGED);
      if (other) reorder(sections, other, panel);
    },
  };
}

function reorder(sections: readonly Section[], panel: string, before: string): void {
  const pinned = address.PINNED.peek();
  if (pinned.includes(panel)) address.PINNED.value = moved(sections, pinned, panel, before);
  else address.ORDER.value = moved(sections, address.ORDER.peek(), panel, before);
}

function fullKey(event: KeyboardEvent, step: (by: number) => void): void {
  const isOnChart = (event.target as HTMLElement).classList.contains("chart-host");
  const by = { PageUp: -1, PageDown: 1, ...(isOnChart ? {} : { ArrowLeft: -1, ArrowRight: 1 }) }[event.key];
  if (by) step(by);
  else if (event.key === "f") address.FULL.value = "";
  else return;
  event.preventDefault();
}

function emptyText(store: SeriesStore, panels: Panels): string {
  if (panels.size) return "No chart has such a name.";
  return store.panels.value.size ? "Code hides all series of these runs: More shows them." : "These runs have no series yet.";
}

function toggled(all: readonly string[], name: string): string[] {
  return all.includes(name) ? all.filter((one) => one !== name) : [...all, name];
}

function resetZoom(): void {
  address.ZOOM.value = null;
}

function toggleSmoothing(): void {
  const { kind, amount } = address.SMOOTHING.value;
  address.SMOOTHING.value = { kind: kind === "none" ? "ema" : "none", amount };
}
