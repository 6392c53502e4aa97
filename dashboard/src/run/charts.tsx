/** The charts of one run, and what was printed at the point that a person picks. */
import { useState } from "preact/hooks";
import type { SeriesStore } from "../charts/data/store";
import type { Reading } from "../charts/drawing/line";
import { ChartGrid } from "../charts/grid/grid";
import { MARK } from "../charts/grid/address";
import type { ShownRun } from "../charts/grid/lines";
import { SettingsBar } from "../charts/grid/settings_bar";
import { Button } from "../components/button";
import { moment } from "../components/text";
import { openConsole } from "./address";
import { attemptTimes, logTime } from "./log";
import type { RunLog } from "./log";
import { Picked } from "./picked";
import "../charts/charts.css";

export function RunCharts({ log, store }: { log: RunLog; store: SeriesStore }) {
  const [picked, setPicked] = useState<Reading | null>(null);
  const run: ShownRun = { id: log.run_id, name: log.name || log.run_id, began: logTime(log.start_time) ?? 0, attempts: attemptTimes(log) };
  return (
    <section class="run-charts" aria-label="Charts">
      <SettingsBar store={store}>
        {MARK.value > 0 && (
          <span class="mark-chip">
            <Button kind="bare" onClick={() => openConsole(MARK.value)} title="Show the console at the marked time">{moment(MARK.value)}</Button>
            <Button kind="bare" icon="close" title="Mark no time" onClick={() => (MARK.value = 0)} />
          </span>
        )}
      </SettingsBar>
      <ChartGrid store={store} runs={[run]} onPick={setPicked} />
      {picked && <Picked runId={log.run_id} reading={picked} onClose={() => setPicked(null)} />}
    </section>
  );
}
