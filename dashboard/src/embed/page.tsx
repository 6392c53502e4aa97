// One chart without a frame, for an iframe: /embed/chart?runs=a,b&name=loss, with the settings of a workspace.
import { useComputed } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { PageProps } from "../app/pages";
import { Problem } from "../components/problem";
import { field } from "../state/address";
import { text } from "../state/codecs";
import { ChartCard } from "../charts/grid/card";
import * as charts from "../charts/grid/address";
import { useWindow } from "../charts/grid/window";
import { SeriesStore } from "../charts/data/store";
import { shownRun, topicOf } from "../charts/data/runs";
import { COLOURS, GROUP, groupKeys, HIDDEN, RUNS, WHERE } from "../workspace/address";
import { Runs } from "../workspace/runs";
import "../charts/charts.css";
import "./embed.css";

const NAME = field("name", text());

export default function Page({ params }: PageProps) {
  const question = useComputed(() => ({ runs: RUNS.value, where: WHERE.value, limit: RUNS.value.length || 20 }));
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
  const found = runs.found.value?.runs;
  const ids = found?.map((run) => run.run_id);
  useEffect(() => ids && store.setRuns(ids, topicOf(question.peek())), [store, ids?.join("\n")]);
  const shown = found?.filter((run) => !HIDDEN.value.includes(run.run_id)).map((run) => shownRun(run, COLOURS.value[run.run_id], runs.attempts.value.get(run.run_id)));
  const window = useWindow(store, shown ?? []);
  const keys = groupKeys(GROUP.value);
  const panels = store.panels.value;
  const panel = panels.has(NAME.value) ? NAME.value : store.meanings.value.panelOf(NAME.value);
  const names = panels.get(panel);
  if (params.what !== "chart") return <p class="chart-empty">There is /embed/chart?runs=…&name=… only.</p>;
  return (
    <div class="embed">
      <Problem error={runs.problem.value ?? store.problem.value} />
      {names && shown ? (
        <ChartCard
          panel={panel}
          names={[...names].sort()}
          runs={shown}
          store={store}
          window={window}
          hasLegend
          isFull
          {...(keys.length ? { groupBy: keys } : {})}
        />
      ) : (
        store.isReady.value && found && <p class="chart-empty">No series is called {NAME.value || "so: the address needs name=…"} here. It appears when one is.</p>
      )}
    </div>
  );
}
