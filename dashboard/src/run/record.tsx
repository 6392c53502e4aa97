/** Whether everything that was recorded arrived, what the trackers have of it, and all that is known, as JSON. */
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { isAborted } from "../api/errors";
import { Button } from "../components/button";
import { Problem } from "../components/problem";
import { ago, count, moment, plural } from "../components/text";
import { toast, toastError } from "../components/toast";
import { now } from "../state/clock";
import { pathOf } from "./data";
import type { RunData } from "./data";
import { certificate, deliveryVerdict } from "./certificate";
import type { DeliveriesOfRun } from "./certificate";
import type { RunLog } from "./log";

const EVERY_MS = 4_000;
const MOST_GAPS = 20;
const MOST_SHOWN = 500_000; // characters of the raw log: the download has all

export function Record({ log, data }: { log: RunLog; data: RunData }) {
  const { found, error } = useDeliveries(log.run_id, data);
  const { tone, word, sentences } = certificate(log, found);
  return (
    <>
      <section class="card" aria-label="Completeness">
        <div class="card-head"><h2>Completeness</h2><span class={`chip ${tone}`}>{word}</span></div>
        <div class="card-body">
          <Problem error={error} />
          <ul class="sentences">{sentences.map((one) => <li key={one}>{one}</li>)}</ul>
        </div>
        <div class="scroll-x">
          <table class="plain-table">
            <thead>
              <tr>
                <th scope="col">producer</th>
                {["sent", "received", "missing", "duplicates refused", "points dropped"].map((one) => <th key={one} scope="col" class="num">{one}</th>)}
                <th scope="col">numbers that are missing</th>
                <th scope="col">by</th>
              </tr>
            </thead>
            <tbody>
              {log.completeness.map((one) => (
                <tr key={one.producer}>
                  <th scope="row" class="mono">{one.producer}</th>
                  <td class="num">{one.expected === null ? "still open" : count(one.expected)}</td>
                  <td class="num">{count(one.received)}</td>
                  <td class="num">{count(Math.max(one.missing.reduce((sum, [first, end]) => sum + end - first, 0), (one.expected ?? 0) - one.received))}</td>
                  <td class="num">{count(one.refused_duplicates)}</td>
                  <td class="num">{count(one.dropped_points)}</td>
                  <td>
                    {one.missing.slice(0, MOST_GAPS).map(([first, end]) => (end - first === 1 ? count(first) : `${count(first)}–${count(end - 1)}`)).join(", ")}
                    {one.missing.length > MOST_GAPS && ` and ${plural(one.missing.length - MOST_GAPS, "gap")} more`}
                  </td>
                  <td>{one.author}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
      <section class="card" aria-label="Trackers">
        <div class="card-head"><h2>Trackers</h2></div>
        {found && !found.deliveries.length && <p class="empty-note">This stack delivers to no tracker.</p>}
        {found && found.deliveries.length > 0 && (
          <div class="scroll-x">
            <table class="plain-table">
              <thead><tr><th scope="col">tracker</th><th scope="col">state</th><th scope="col">since</th><th scope="col">why</th><th scope="col">page of the run</th></tr></thead>
              <tbody>
                {found.deliveries.map((one) => {
                  const verdict = deliveryVerdict(one, found.folded.offset);
                  return (
                    <tr key={one.tracker}>
                      <th scope="row">{one.tracker}</th>
                      <td><span class={`chip ${verdict.tone}`}>{verdict.word}</span></td>
                      <td>{one.updated && <span title={moment(one.updated)}>{ago(one.updated, now.value)}</span>}</td>
                      <td>{one.error}{one.skipped > 0 && ` ${plural(one.skipped, "record")} cannot be read`}</td>
                      <td>{one.url ? <a href={one.url} target="_blank" rel="noopener noreferrer">{new URL(one.url).host}</a> : <span class="quiet">{one.status === "none" ? "" : "not known here"}</span>}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <RawLog runId={log.run_id} />
    </>
  );
}

function useDeliveries(runId: string, data: RunData): { found: DeliveriesOfRun | null; error: unknown } {
  const [state, setState] = useState<{ found: DeliveriesOfRun | null; error: unknown }>({ found: null, error: null });
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (): void => {
      if (document.hidden) return void (timer = setTimeout(look, EVERY_MS));
      ask<DeliveriesOfRun>(`${pathOf(runId)}/deliveries`, { signal: stop.signal })
        .then((found) => setState({ found, error: null }))
        .catch((error: unknown) => isAborted(error) || setState((before) => ({ ...before, error })))
        .finally(() => stop.signal.aborted || (timer = setTimeout(look, EVERY_MS)));
    };
    look();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [runId, data.log?.state]);
  return state;
}

function RawLog({ runId }: { runId: string }) {
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const path = `${pathOf(runId)}/log`;
  const open = (event: Event): void => {
    if (!(event.currentTarget as HTMLDetailsElement).open || text !== null) return;
    ask<unknown>(`${path}?max_points=100`).then((log) => setText(JSON.stringify(log, null, 2)), setError);
  };
  return (
    <details class="card raw" onToggle={open}>
      <summary><h2>Run log</h2> <span class="quiet">all that is known of the run, as one JSON document</span></summary>
      <div class="card-body">
        <p class="raw-tools">
          <Button icon="link" disabled={text === null} onClick={() => void copy(text ?? "", "The run log is copied")}>Copy</Button>
          <a class="button plain" href={path} download={`${runId.replace(/[^\w.-]+/g, "_")}.json`}>Download</a>
          <span class="quiet">Here with the last 100 points of each series; the download has up to 10,000.</span>
        </p>
        <Problem error={error} />
        {text !== null && <pre class="preview-text" tabIndex={0}>{text.slice(0, MOST_SHOWN)}{text.length > MOST_SHOWN && "\n… cut: the download has all"}</pre>}
      </div>
    </details>
  );
}

/** Put text on the clipboard, and say so. */
export async function copy(text: string, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast({ text: done });
  } catch (error) {
    toastError(error);
  }
}
