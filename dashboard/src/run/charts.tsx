/** The charts of one run. */
import { useEffect, useMemo } from "preact/hooks";
import { SeriesStore } from "../charts/data/store";
import { ChartGrid } from "../charts/grid/grid";
import { SettingsBar } from "../charts/grid/settings_bar";
import { Problem } from "../components/problem";
import type { RunLog } from "./log";
import { logTime } from "./log";
import "../charts/charts.css";

export function RunCharts({ log }: { log: RunLog }) {
  const store = useMemo(() => new SeriesStore(), []);
  useEffect(() => {
    store.setRuns([log.run_id]);
    return () => store.close();
  }, [store]);
  const run = { id: log.run_id, name: log.name || log.run_id, began: logTime(log.start_time) ?? 0, attempts: [] };
  return (
    <section class="run-charts" aria-label="Charts">
      <SettingsBar store={store} />
      <Problem error={store.problem.value} />
      <ChartGrid store={store} runs={[run]} />
    </section>
  );
}
