/** The head of a run's page: which run it is, how it stands, what it reached. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { mayWrite } from "../api/session";
import { Button } from "../components/button";
import { Menu } from "../components/menu";
import { Status } from "../components/status";
import { duration, moment, value } from "../components/text";
import { toastError } from "../components/toast";
import { runPage } from "../state/address";
import { now } from "../state/clock";
import { VIEW } from "./address";
import { contextOf } from "./context";
import type { RunData } from "./data";
import { Editor } from "./details";
import { edit } from "./edit";
import { completeness, logTime } from "./log";
import type { RunLog } from "./log";
import { copy } from "./record";

const MOST_BEST = 6;

export function Head({ log, data }: { log: RunLog; data: RunData }) {
  const [isNaming, setNaming] = useState(false);
  const isAway = log.lifecycle_stage === "deleted";
  const setStage = (stage: "active" | "deleted"): void =>
    void edit(log.run_id, { stage }, {
      done: stage === "deleted" ? "The run is in the trash" : "The run is out of the trash",
      undo: { stage: stage === "deleted" ? "active" : "deleted" },
      again: data.again,
    }).catch(toastError);
  return (
    <header id="summary" class="run-head">
      <div class="run-title">
        {isNaming ? (
          <Editor label="Name" text={log.name} onClose={() => setNaming(false)} onSave={(name) => edit(log.run_id, { name }, { done: "The run has a new name", ...(log.name ? { undo: { name: log.name } } : {}), again: data.again })} />
        ) : (
          <h1>{log.name || log.run_id}</h1>
        )}
        <Status state={log.state} />
        <span class="run-actions">
          <Button icon="link" onClick={() => void copy(location.href, "The link is copied: it shows this page as it is now")} title="Copy the link (y)">Link</Button>
          <Menu
            icon="more"
            title="More about this run"
            class="end"
            items={() => [
              { label: "Copy as text, for a chat or a model", icon: "info", run: () => void copyContext(log, data) },
              { label: "Copy the run id", icon: "link", run: () => void copy(log.run_id, "The run id is copied") },
              ...(mayWrite.value
                ? [
                    { label: "Rename", icon: "edit" as const, run: () => setNaming(true) },
                    isAway
                      ? { label: "Take out of the trash", icon: "restore" as const, run: () => setStage("active") }
                      : { label: "Move to the trash", icon: "trash" as const, run: () => setStage("deleted") },
                  ]
                : []),
            ]}
          />
        </span>
      </div>
      {log.message && <p class={`run-message ${log.state}`}>{log.message}</p>}
      <Facts log={log} />
      <div class="run-head-line">
        <Complete log={log} />
        <Best log={log} />
      </div>
      {log.points_dropped && (
        <p class="quiet dropped">
          The points of this run were dropped from PostgreSQL by retention at {log.points_dropped.slice(0, 19)} UTC: of each series its count, last, lowest and highest value stay.
        </p>
      )}
    </header>
  );
}

/** Put the run on the clipboard as short text. */
export function copyContext(log: RunLog, data: RunData): Promise<void> {
  return copy(contextOf(log, data.last, location.origin + runPage(log.run_id)), "The run is copied as text");
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

/** Lowest or highest values of the metrics to which code gave a goal. */
function Best({ log }: { log: RunLog }) {
  const all = Object.entries(log.best);
  if (!all.length) return null;
  return (
    <p class="best" aria-label="Best values">
      {all.slice(0, MOST_BEST).map(([name, one]) => (
        <span key={name} class="best-value" data-best={name}><span class="quiet">best {name}</span> <strong>{value(one, 6)}</strong></span>
      ))}
      {all.length > MOST_BEST && <span class="quiet">and {all.length - MOST_BEST} more</span>}
    </p>
  );
}

function Complete({ log }: { log: RunLog }) {
  if (!log.completeness.length) return <p class="quiet">No record received yet.</p>;
  const { tone, word, text } = completeness(log.completeness);
  return (
    <p class="complete">
      <button type="button" class={`chip ${tone}`} title="What arrived, and what trackers have" onClick={() => (VIEW.value = "record")}>{word}</button> {text}
    </p>
  );
}
