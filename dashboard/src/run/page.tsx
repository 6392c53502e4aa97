/** One run: what it is, how it stands, with what it ran, and whether everything arrived. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { ApiError } from "../api/errors";
import type { PageProps } from "../app/pages";
import { Problem } from "../components/problem";
import { Status } from "../components/status";
import { duration, moment, plural, value } from "../components/text";
import { runPage } from "../state/address";
import { now } from "../state/clock";
import { RunCharts } from "./charts";
import { useRun } from "./data";
import type { RunData } from "./data";
import { completeness, flatSteps, logTime } from "./log";
import type { RunLog } from "./log";
import "../styles/run.css";

const MOST_SHOWN = 400; // values of one kind: the run log has all

export default function RunPage({ params }: PageProps) {
  const runId = params.id ?? "";
  const data = useRun(runId);
  useEffect(() => {
    document.title = `${data.log?.name || runId} · tracking-gateway`;
  }, [runId, data.log?.name]);
  if (data.log) return <Known log={data.log} data={data} key={runId} />;
  if (data.error instanceof ApiError && data.error.status === 404) return <Unknown runId={runId} />;
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

function Known({ log, data }: { log: RunLog; data: RunData }) {
  return (
    <div class="page run">
      <header id="summary">
        <div class="run-title">
          <h1>{log.name || log.run_id}</h1>
          <Status state={log.state} />
        </div>
        {log.message && <p class={`run-message ${log.state}`}>{log.message}</p>}
        <Facts log={log} />
        <Complete log={log} />
        {log.points_dropped && (
          <p class="quiet dropped">
            The points of this run were dropped from PostgreSQL by retention at {log.points_dropped.slice(0, 19)} UTC: of each series its count, last, lowest and highest value stay.
          </p>
        )}
        {log.note && <p class="note">{log.note}</p>}
      </header>
      <Problem error={data.error} />
      <div class="run-values">
        <Values title="Parameters" values={log.parameters} />
        <Values title="Last values" values={data.last} />
        <Values title="Tags" values={log.tags} />
      </div>
      <RunCharts log={log} />
      <Steps log={log} />
      {data.console.length > 0 && (
        <Card title="Console" note="the last lines">
          <pre class="console">{data.console.join("\n")}</pre>
        </Card>
      )}
      <p class="quiet">
        Everything that is known of it: <a href={`/v1/runs/${encodeURIComponent(log.run_id)}/log`}>raw JSON</a>
      </p>
    </div>
  );
}

function Facts({ log }: { log: RunLog }) {
  const start = logTime(log.start_time);
  const end = logTime(log.end_time) ?? (log.state === "running" ? now.value * 1000 : null);
  const run = (id: string): ComponentChildren => id && <a href={runPage(id)}>{id}</a>;
  const facts: readonly (readonly [name: string, text: ComponentChildren])[] = [
    ["Run id", <span class="mono">{log.run_id}</span>],
    ["Experiment", log.experiment_id ? <a href={`/experiments/${encodeURIComponent(log.experiment_id)}`}>{log.experiment}</a> : log.experiment],
    ["Group", log.group],
    ["Tag", log.tag === log.experiment ? "" : log.tag],
    ["Trash", log.lifecycle_stage === "deleted" ? "in the trash: `gateway runs restore` takes it out" : ""],
    ["Started", start === null ? "" : moment(start)],
    ["Duration", start === null || end === null ? "" : duration(end - start)],
    ["Original run", run(log.original_run_id)],
    ["Parent run", run(log.parent_run_id)],
  ];
  return (
    <dl class="facts">
      {facts.filter(([, text]) => text !== "").map(([name, text]) => (
        <div key={name} data-fact={name}>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

function Complete({ log }: { log: RunLog }) {
  if (!log.completeness.length) return <p class="quiet">No record received yet.</p>;
  const { tone, word, text } = completeness(log.completeness);
  return <p><span class={`chip ${tone}`}>{word}</span> {text}</p>;
}

function Values({ title, values }: { title: string; values: Readonly<Record<string, unknown>> }) {
  const all = Object.entries(values);
  if (!all.length) return null;
  return (
    <Card title={title} note={plural(all.length, "name")}>
      <table class="plain-table">
        <tbody>
          {all.slice(0, MOST_SHOWN).map(([name, one]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class={typeof one === "number" ? "num" : ""}>{value(one, 6)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

const STATES: Readonly<Record<string, string>> = { CREATED: "created", PROCESSING: "running", SUCCESS: "finished", FAIL: "failed" };

function Steps({ log }: { log: RunLog }) {
  const steps = flatSteps(log.steps);
  if (!steps.length) return null;
  return (
    <Card title="Steps" note={plural(steps.length, "step")}>
      <table class="plain-table steps">
        <tbody>
          {steps.slice(0, MOST_SHOWN).map(({ step, depth }) => {
            const last = step.attempts.at(-1);
            return (
              <tr key={step.internal_name}>
                <td><span class={`step-name depth-${Math.min(depth, 4)}`}>{step.name}</span></td>
                <td><Status state={STATES[step.status] ?? "created"} /></td>
                <td>{step.attempts.length > 1 ? plural(step.attempts.length, "attempt") : ""}</td>
                <td>{last?.duration ?? ""}</td>
                <td>{step.message || last?.message}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Card>
  );
}

function Card({ title, note, children }: { title: string; note: string; children: ComponentChildren }) {
  return (
    <section class="card">
      <div class="card-head">
        <h2>{title}</h2>
        <span class="quiet">{note}</span>
      </div>
      <div class="scroll">{children}</div>
    </section>
  );
}
