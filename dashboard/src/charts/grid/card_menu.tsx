// What can be done with one panel.
import type { RefObject } from "preact";
import { Button } from "../../components/button";
import { Menu, type MenuItem } from "../../components/menu";
import { toast, toastError } from "../../components/toast";
import { linkTo, query } from "../../state/address";
import { joinList } from "../../state/codecs";
import { chartText } from "../drawing/as_text";
import type { Chart } from "../drawing/chart";
import { csv, png, save, svg } from "../drawing/picture";
import * as address from "./address";
import type { CardProps } from "./props";
import type { ChartSettings } from "./settings";

interface CardMenuProps extends CardProps {
  settings: ChartSettings;
  /** The series that code made its x axis; "": none. */
  meant: string;
  unit: string;
  chart: RefObject<Chart | null>;
}

export function CardMenu(props: CardMenuProps) {
  const { panel, isFull, onFull } = props;
  return (
    <span class="chart-tools">
      {onFull && <Button kind="bare" icon={isFull ? "close" : "full"} title={isFull ? "Leave full screen (Esc)" : `Fill the screen with ${panel} (f)`} onClick={onFull} />}
      <Menu icon="more" title={`Settings and files of ${panel}`} class="end" items={() => itemsOf(props)} />
    </span>
  );
}

function itemsOf({ panel, names, runs, settings, meant, unit, chart, groupBy }: CardMenuProps): MenuItem[] {
  const scale = (yScale: ChartSettings["yScale"], label: string): MenuItem => ({
    label,
    chosen: settings.yScale === yScale,
    run: () => address.override(panel, { yScale }),
  });
  const drawn = () => chart.current?.drawn() ?? null;
  const isPinned = address.PINNED.value.includes(panel);
  const title = unit ? `${panel} [${unit}]` : panel;
  const x = (axis: ChartSettings["x"], label: string): MenuItem => ({ label, chosen: settings.x === axis, run: () => address.override(panel, { x: axis }) });
  return [
    ...(meant && !groupBy?.length ? [x(`metric:${meant}`, `x: ${meant}`), x("step", "x: step")] : []),
    scale("linear", "linear y"),
    scale("log", "log y"),
    scale("symlog", "symmetric log y"),
    { label: "clip values far outside", chosen: settings.clip, run: () => address.override(panel, { clip: !settings.clip }) },
    { label: "smooth here", chosen: settings.smoothing !== "none", run: () => address.override(panel, { smoothing: settings.smoothing === "none" ? "ema" : "none" }) },
    { label: "as all panels", icon: "undo", disabled: !address.OVERRIDES.value[panel], run: () => forget(panel) },
    {
      label: isPinned ? "unpin" : "pin to the top",
      icon: "pin",
      run: () => (address.PINNED.value = isPinned ? address.PINNED.value.filter((one) => one !== panel) : [...address.PINNED.value, panel]),
    },
    { label: "PNG", icon: "download", run: () => void picture(drawn(), panel, title) },
    { label: "SVG", icon: "download", run: () => ifDrawn(drawn(), (one) => save(`${panel}.svg`, svg(one, title), "image/svg+xml")) },
    groupBy?.length
      ? { label: "CSV of the groups", icon: "download", run: () => ifDrawn(drawn(), (one) => save(`${panel}.csv`, csv(one.lines), "text/csv")) }
      : { label: "CSV of every point", icon: "download", hint: "Exact, of any size, from the server", run: () => location.assign(exportLink(names, runs)) },
    { label: "copy as text", icon: "save", hint: "What it shows, for a message or an assistant", run: () => ifDrawn(drawn(), (one) => void copy(chartText(panel, one.lines, settings.x, location.href))) },
    { label: "open alone, to embed", icon: "link", run: () => void open(embedLink(panel, runs), "_blank", "noopener") },
  ];
}

type Drawn = ReturnType<Chart["drawn"]>;

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast({ text: "Copied" });
  } catch (error) {
    toastError(error);
  }
}

function ifDrawn(drawn: Drawn, then: (drawn: NonNullable<Drawn>) => void): void {
  if (drawn) then(drawn);
}

async function picture(drawn: Drawn, panel: string, title: string): Promise<void> {
  if (drawn) save(`${panel}.png`, await png(drawn, title));
}

function forget(panel: string): void {
  const { [panel]: _, ...rest } = address.OVERRIDES.peek();
  address.OVERRIDES.value = rest;
}

function exportLink(names: readonly string[], runs: CardProps["runs"]): string {
  const params = new URLSearchParams({ format: "csv" });
  for (const run of runs) params.append("run_id", run.id);
  for (const name of names) params.append("name", name);
  return `/v1/export/points?${params}`;
}

/** The address of one chart without a frame, as it is shown now. */
export function embedLink(panel: string, runs: CardProps["runs"]): string {
  const kept = new URLSearchParams(query.peek());
  for (const name of ["full", "pinned", "order", "folded", "where", "panels"]) kept.delete(name);
  return linkTo("/embed/chart", [["runs", joinList(runs.map((run) => run.id))], ["name", panel]], kept);
}
