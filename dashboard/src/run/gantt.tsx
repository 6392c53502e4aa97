/** Steps and attempts over time: a bar for each attempt; those that later ones replaced on a toggle. */
import { useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { Button } from "../components/button";
import { Status } from "../components/status";
import { count, duration, moment, plural } from "../components/text";
import { useVirtual } from "../components/virtual";
import { change } from "../state/address";
import { now } from "../state/clock";
import * as charts from "../charts/grid/address";
import { openConsole, VIEW } from "./address";
import { ganttOf, placeOf, ticksOf } from "./gantt_layout";
import type { Bar, Gantt, GanttRow } from "./gantt_layout";
import type { RunLog } from "./log";

const ROW_HEIGHT = 30;
const STATES: Readonly<Record<string, string>> = { CREATED: "created", PROCESSING: "running", SUCCESS: "finished", FAIL: "failed", LOST: "lost" };
const percent = (part: number): string => `${(part * 100).toFixed(4)}%`;

export function Steps({ log }: { log: RunLog }) {
  const isOver = log.end_time !== null || log.state === "lost";
  const at = isOver ? 0 : now.value * 1000;
  const gantt = useMemo(() => ganttOf(log.steps, at || Date.now() * 1000), [log.steps, at]);
  const scroller = useRef<HTMLDivElement>(null);
  const chosen = useSignal<{ row: GanttRow; bar: Bar } | null>(null);
  const virtual = useVirtual({ count: gantt.rows.length, estimateSize: () => ROW_HEIGHT, getScrollElement: () => scroller.current, overscan: 12 });
  const hasReplaced = charts.SUPERSEDED.value;
  if (!gantt.rows.length) return <p class="empty-note">No step has begun yet.</p>;
  const pick = (row: GanttRow, bar: Bar): void => void (chosen.value = { row, bar });
  return (
    <section class="card" aria-label="Steps">
      <div class="card-head">
        <h2>Steps and attempts</h2>
        <span class="quiet">{plural(gantt.rows.length, "step")}, {duration(gantt.to - gantt.from)}</span>
        <label class="push">
          <input type="checkbox" checked={hasReplaced} onChange={(event) => (charts.SUPERSEDED.value = event.currentTarget.checked)} />
          {" "}show what later attempts replaced ({count(gantt.replaced)})
        </label>
      </div>
      <div class="gantt" data-steps={gantt.rows.length}>
        <Axis gantt={gantt} />
        <div class="gantt-scroll" ref={scroller}>
          <div class="gantt-rows" style={{ height: `${virtual.getTotalSize()}px` }}>
            {virtual.getVirtualItems().map((item) => {
              const row = gantt.rows[item.index]!;
              return (
                <div key={row.id} class="gantt-row" style={{ transform: `translateY(${item.start}px)` }} data-step={row.id}>
                  <span class={`gantt-name cut depth-${Math.min(row.depth, 4)}`} title={row.message || row.name}>
                    <Status state={STATES[row.status] ?? "created"} title={row.message} /> <span class="cut">{row.name}</span>
                  </span>
                  <span class="gantt-track">
                    {row.bars.filter((bar) => hasReplaced || !bar.isReplaced).map((bar) => (
                      <BarOf key={bar.attempt} bar={bar} row={row} gantt={gantt} onPick={pick} />
                    ))}
                  </span>
                </div>
              );
            })}
          </div>
        </div>
      </div>
      <Chosen chosen={chosen.value} />
    </section>
  );
}

function Axis({ gantt }: { gantt: Gantt }) {
  const length = gantt.to - gantt.from;
  return (
    <div class="gantt-row gantt-axis" aria-hidden="true">
      <span class="gantt-name quiet">{moment(gantt.from)}</span>
      <span class="gantt-track">
        {ticksOf(length, 6).map((tick) => (
          <span key={tick} class={`gantt-tick${tick / length > 0.9 ? " late" : ""}`} style={{ left: percent(tick / length) }}>{tick ? duration(tick) : "0"}</span>
        ))}
      </span>
    </div>
  );
}

function BarOf({ bar, row, gantt, onPick }: { bar: Bar; row: GanttRow; gantt: Gantt; onPick: (row: GanttRow, bar: Bar) => void }) {
  const left = placeOf(gantt, bar.began);
  const right = bar.ended === null ? 1 : placeOf(gantt, bar.ended);
  const text = barText(row, bar);
  return (
    <button
      type="button"
      class={`gantt-bar ${STATES[bar.status] ?? "created"}${bar.isReplaced ? " replaced" : ""}`}
      data-attempt={bar.attempt}
      style={{ left: percent(left), width: `max(3px, ${percent(right - left)})` }}
      title={text}
      aria-label={text}
      onClick={() => onPick(row, bar)}
      onFocus={() => onPick(row, bar)}
      onPointerEnter={() => onPick(row, bar)}
    >
      <span class="cut">{row.bars.length > 1 ? `attempt ${bar.attempt}` : ""}</span>
    </button>
  );
}

function Chosen({ chosen }: { chosen: { row: GanttRow; bar: Bar } | null }) {
  if (!chosen) return <p class="gantt-chosen quiet">Point at a bar, or move to it with Tab: its times and outcome are here.</p>;
  const { row, bar } = chosen;
  const end = bar.ended ?? now.value * 1000;
  return (
    <div class="gantt-chosen" role="status">
      <span><strong>{row.name}</strong> <span class="quiet">{row.type}</span> {barText(row, bar).slice(row.name.length)}</span>
      <Button icon="chart" onClick={() => change([VIEW.written("overview"), charts.X.written("time"), charts.ZOOM.written([bar.began / 1e6, end / 1e6])])}>Charts of this time</Button>
      <Button icon="menu" onClick={() => openConsole(bar.began)}>Console from here</Button>
    </div>
  );
}

function barText(row: GanttRow, bar: Bar): string {
  const state = bar.status === "LOST" ? "never said how it ended" : STATES[bar.status] ?? bar.status;
  const end = bar.ended === null ? "now" : moment(bar.ended);
  const length = duration((bar.ended ?? now.peek() * 1000) - bar.began);
  return [`${row.name} attempt ${bar.attempt}`, state, `${moment(bar.began)} to ${end}`, length, bar.isReplaced ? "replaced by a later attempt" : "", bar.message]
    .filter(Boolean)
    .join(" · ");
}
