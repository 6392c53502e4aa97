// Runs side by side: what differs, their lines in one chart, as points, over parallel axes, and where they part.
import { effect, useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { paced } from "../api/paced";
import { follow } from "../api/stream";
import { Problem } from "../components/problem";
import { ChartGrid } from "../charts/grid/grid";
import { SettingsBar } from "../charts/grid/settings_bar";
import * as charts from "../charts/grid/address";
import { SeriesStore } from "../charts/data/store";
import { quoted, shownRun, topicOf } from "../charts/data/runs";
import { Views } from "../components/views";
import { FilterBox } from "../runs/filter_box";
import { useCommands } from "../app/commands";
import { COLOURS, RUNS, WHERE } from "../workspace/address";
import { Runs } from "../workspace/runs";
import { SHOW, VIEWS, type View } from "./address";
import { Diff } from "./diff";
import { Divergence } from "./divergence";
import { ImageGrid } from "./image_grid";
import { Parallel, Scatter } from "./plot_views";
import "../charts/charts.css";
import "./compare.css";

const AGAIN_MS = 5_000; // what differs is read again at most this often while runs have news

const TITLES: Record<View, string> = {
  diff: "What differs",
  charts: "Charts",
  scatter: "Scatter",
  parallel: "Parallel coordinates",
  images: "Images",
  divergence: "First divergence",
};

export default function Page() {
  const question = useComputed(() => ({ runs: RUNS.value, where: WHERE.value, limit: RUNS.value.length || 20 }));
  const needsAttempts = useComputed(() => charts.X.value === "process");
  const runs = useMemo(() => new Runs(question, needsAttempts), []);
  const store = useMemo(() => new SeriesStore(), []);
  const round = useSignal(0);
  useEffect(() => {
    const pace = paced(() => {
      round.value += 1;
      runs.again(new Map());
    }, AGAIN_MS);
    let end = (): void => undefined;
    const stop = effect(() => {
      end();
      end = follow({ topics: { runs: topicOf(question.value) } }, { onNews: () => pace.ask(), onReset: () => pace.ask() });
    });
    return () => {
      stop();
      end();
      pace.stop();
    };
  }, [runs]);
  const hasCharts = SHOW.value === "charts";
  useEffect(
    () => () => {
      runs.close();
      store.close();
    },
    [],
  );
  const rows = runs.found.value?.runs ?? [];
  const ids = rows.map((run) => run.run_id);
  useEffect(() => store.setRuns(hasCharts ? ids : []), [store, hasCharts, ids.join("\n")]);
  useCommands(() => VIEWS.map((view, at) => ({ label: `Compare: ${TITLES[view]}`, keys: [String(at + 1)], section: "Compare", run: () => (SHOW.value = view) })), []);
  // Plots have room for more runs than tables: all that match.
  const plotted = { where: RUNS.value.length ? `run_id in (${RUNS.value.map(quoted).join(", ")})` : WHERE.value, stage: RUNS.value.length ? "all" : "active" } as const;
  return (
    <div class="compare">
      <header class="compare-head">
        <h1>Compare</h1>
        <nav class="tabs" aria-label="Comparisons">
          {VIEWS.map((view) => <button type="button" key={view} class="tab" aria-pressed={SHOW.value === view} onClick={() => (SHOW.value = view)}>{TITLES[view]}</button>)}
        </nav>
        {!RUNS.value.length && <FilterBox where={WHERE} />}
        <Views type="compare" keeps="the runs and how they are compared" />
      </header>
      <Problem error={runs.problem.value} />
      {runs.found.value && !rows.length && <p class="chart-empty">No run matches.</p>}
      {rows.length > 0 && (
        <div class="compare-body">
          {SHOW.value === "diff" && <Diff runs={rows} round={round.value} />}
          {SHOW.value === "scatter" && <Scatter question={plotted} />}
          {SHOW.value === "parallel" && <Parallel question={plotted} />}
          {SHOW.value === "images" && <ImageGrid runs={rows} />}
          {SHOW.value === "divergence" && <Divergence runs={rows} />}
          {hasCharts && (
            <>
              <SettingsBar store={store} />
              <ChartGrid store={store} runs={rows.map((run) => shownRun(run, COLOURS.value[run.run_id], runs.attempts.value.get(run.run_id)))} hasLegend />
            </>
          )}
        </div>
      )}
    </div>
  );
}
