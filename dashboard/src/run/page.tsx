/** One run: what it is, how it stands, its charts, steps, machines, console, files, values, and whether all arrived. */
import { useEffect, useMemo } from "preact/hooks";
import { ApiError } from "../api/errors";
import { useCommands } from "../app/commands";
import type { PageProps } from "../app/pages";
import { SeriesStore } from "../charts/data/store";
import { Problem } from "../components/problem";
import { stored } from "../state/stored";
import { flag } from "../state/codecs";
import { Button } from "../components/button";
import { VIEW, VIEWS } from "./address";
import type { View } from "./address";
import { RunCharts } from "./charts";
import { Console } from "./console/console";
import { pathOf, useRun } from "./data";
import type { RunData } from "./data";
import { Details } from "./details";
import { Artifacts } from "./files/artifacts";
import { Steps } from "./gantt";
import { copyContext, Head } from "./head";
import { SystemView } from "./heat/system";
import type { RunLog } from "./log";
import { copy, Record } from "./record";
import { Values } from "./values";
import "../styles/run.css";

const TITLES: { [One in View]: string } = {
  overview: "Overview", steps: "Steps", system: "Machines", console: "Console", artifacts: "Artifacts", values: "Values", record: "Record",
};
const hasDetails = stored("run.details", flag(innerWidth > 800)); // on a phone the charts come first

export default function RunPage({ params }: PageProps) {
  const runId = params.id ?? "";
  const data = useRun(runId);
  useEffect(() => {
    document.title = `${data.log?.name || runId} · tracking-gateway`;
  }, [runId, data.log?.name]);
  const isUnknown = !data.log && data.error instanceof ApiError && data.error.status === 404;
  // Series are asked for together with the run; of a run that was unknown then, again when it has begun.
  const store = useMemo(() => new SeriesStore(), [runId, isUnknown]);
  const needsSeries = !isUnknown && (VIEW.value === "overview" || VIEW.value === "system");
  useEffect(() => {
    if (needsSeries) store.setRuns([runId]);
  }, [store, needsSeries]);
  useEffect(() => () => store.close(), [store]);
  if (data.log) return <Known log={data.log} data={data} store={store} key={runId} />;
  if (isUnknown) return <Unknown runId={runId} />;
  return <Problem error={data.error} />;
}

function Unknown({ runId }: { runId: string }) {
  return (
    <div class="empty">
      <h1>No such run yet</h1>
      <p>Nothing is known of <code>{runId}</code>.</p>
      <p>This page opens by itself when its first event arrives. Until then: <a href="/">all runs</a>.</p>
    </div>
  );
}

function Known({ log, data, store }: { log: RunLog; data: RunData; store: SeriesStore }) {
  const view = VIEW.value;
  const latest = useMemo(() => ({ log, data }), []);
  Object.assign(latest, { log, data });
  useCommands(
    () => [
      ...VIEWS.map((one, at) => ({ label: `Run: ${TITLES[one]}`, keys: [String(at + 1)], section: "Run", run: () => (VIEW.value = one) })),
      { label: "Show or hide parameters and tags", keys: ["d"], section: "Run", run: () => (hasDetails.value = !hasDetails.value) },
      { label: "Copy the link to this state of the page", keys: ["y"], section: "Run", run: () => void copy(location.href, "The link is copied") },
      { label: "Copy the run as text, for a chat or a model", keys: ["shift+y"], section: "Run", run: () => void copyContext(latest.log, latest.data) },
    ],
    [],
  );
  const isOver = log.end_time !== null;
  return (
    <div class="page run">
      <Head log={log} data={data} />
      <Problem error={data.error} />
      <nav class="tabs run-tabs" aria-label="Parts of the run">
        {VIEWS.map((one, at) => (
          <button type="button" key={one} class="tab" aria-pressed={view === one} title={`${TITLES[one]} (${at + 1})`} onClick={() => (VIEW.value = one)}>{TITLES[one]}</button>
        ))}
      </nav>
      {view === "overview" && (
        <div class={`run-overview${hasDetails.value ? "" : " alone"}`}>
          <div class="run-side">
            <Button kind="bare" icon={hasDetails.value ? "left" : "right"} title={hasDetails.value ? "Hide parameters and tags (d)" : "Show parameters and tags (d)"} onClick={() => (hasDetails.value = !hasDetails.value)}>
              {hasDetails.value ? "hide" : "parameters, last values, tags, note"}
            </Button>
            {hasDetails.value && <Details log={log} data={data} />}
          </div>
          <RunCharts log={log} store={store} />
        </div>
      )}
      {view === "steps" && <Steps log={log} />}
      {view === "system" && <SystemView runId={log.run_id} store={store} data={data} />}
      {view === "console" && <Console runId={log.run_id} data={data} isOver={isOver} />}
      {view === "artifacts" && <Artifacts runId={log.run_id} data={data} />}
      {view === "values" && <Values runId={log.run_id} data={data} />}
      {view === "record" && <Record log={log} data={data} />}
      <p class="quiet">
        Everything that is known of it: <a href={`${pathOf(log.run_id)}/log`}>raw JSON</a>
      </p>
    </div>
  );
}
