// Charts of many runs side by side. The address holds all of it: which runs, how they are drawn, where one has zoomed.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Button } from "../components/button";
import { Problem } from "../components/problem";
import * as charts from "../charts/grid/address";
import { ChartGrid } from "../charts/grid/grid";
import { SettingsBar } from "../charts/grid/settings_bar";
import { SeriesStore } from "../charts/data/store";
import { shownRun, topicOf } from "../charts/data/runs";
import { Views } from "../components/views";
import { FilterBox } from "../runs/filter_box";
import { linkTo } from "../state/address";
import { joinList } from "../state/codecs";
import { COLOURS, GROUP, groupKeys, HIDDEN, LIMIT, RUNS, WHERE } from "./address";
import { GroupBy } from "./group_by";
import { RunList } from "./run_list";
import { Runs } from "./runs";
import "../charts/charts.css";
import "./workspace.css";

export default function Page() {
  const isListShown = useSignal(true);
  const question = useComputed(() => ({ runs: RUNS.value, where: WHERE.value, limit: RUNS.value.length ? RUNS.value.length : LIMIT.value }));
  const needsAttempts = useComputed(() => charts.X.value === "process");
  const runs = useMemo(() => new Runs(question, needsAttempts), []);
  const store = useMemo(() => new SeriesStore({ all: true, onRuns: (offsets) => runs.again(offsets) }), []);
  useEffect(
    () => () => {
      runs.close();
      store.close();
    },
    [],
  );
  const found = runs.found.value;
  const ids = useComputed(() => runs.found.value?.runs.map((run) => run.run_id) ?? null);
  useEffect(() => ids.subscribe((all) => all && store.setRuns(all, topicOf(question.peek()))), [store]);
  const shown = useComputed(() =>
    (runs.found.value?.runs ?? [])
      .filter((run) => !HIDDEN.value.includes(run.run_id))
      .map((run) => shownRun(run, COLOURS.value[run.run_id], runs.attempts.value.get(run.run_id))),
  ).value;
  const keys = groupKeys(GROUP.value);
  return (
    <div class={isListShown.value ? "workspace" : "workspace wide"}>
      <aside class="workspace-runs" aria-label="Runs">
        <header>
          <h1>Workspace</h1>
          <Button kind="bare" icon="menu" title={isListShown.value ? "Hide the runs" : "Show the runs"} pressed={isListShown.value} onClick={() => (isListShown.value = !isListShown.value)} />
        </header>
        {isListShown.value && (
          <>
            <GroupBy runs={found?.runs ?? []} />
            {found && <p class="quiet run-count">{countText(found.runs.length, found.hasMore)}</p>}
            {found?.hasMore && <Button kind="bare" icon="plus" onClick={() => (LIMIT.value = Math.min(100, LIMIT.value + 20))} disabled={LIMIT.value >= 100 || RUNS.value.length > 0}>more runs</Button>}
            <RunList runs={found?.runs ?? []} />
            {found && found.runs.length > 1 && <a class="button plain" href={linkTo("/compare", [["runs", joinList(shown.slice(0, 20).map((run) => run.id))]])}>Compare {Math.min(20, shown.length)} runs</a>}
          </>
        )}
      </aside>
      <div class="workspace-charts">
        {!RUNS.value.length && <div class="workspace-question no-print"><FilterBox where={WHERE} /></div>}
        <SettingsBar store={store}><Views type="workspace" keeps="which runs are drawn, how, and the order of the charts" /></SettingsBar>
        <Problem error={runs.problem.value} />
        {found && !found.runs.length ? <p class="chart-empty">No run matches. Charts appear here when one does.</p> : <ChartGrid store={store} runs={shown} {...(keys.length ? { groupBy: keys } : {})} hasLegend={keys.length > 0} />}
      </div>
    </div>
  );
}

function countText(count: number, hasMore: boolean): string {
  return hasMore ? `the newest ${count} of more runs` : `${count} ${count === 1 ? "run" : "runs"}`;
}
