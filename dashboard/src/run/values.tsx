/** Values that are no numbers: texts, JSON and the like as lines, histograms over steps as a heat map. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { ask } from "../api/client";
import { isAborted } from "../api/errors";
import { number } from "../charts/format";
import { Button } from "../components/button";
import { Problem } from "../components/problem";
import { count, moment, plural, value as valueText } from "../components/text";
import { NAME } from "./address";
import { pathOf } from "./data";
import type { RunData } from "./data";
import { heatOfHistograms } from "./heat/heat";
import type { Histograms } from "./heat/heat";
import { Heatmap } from "./heat/heatmap";

const PAGE = 100;
const STEPS = 300;

interface ValueSeries {
  series: string;
  types: string[];
  count: number;
  last_step: number;
  /** µs */
  last_time: number;
}

interface Index {
  series: ValueSeries[];
  exact: boolean;
}

/** Ask, and again whenever `version` changes; the last answer stays while the next is awaited. */
function useAnswer<T>(key: string, version: number, read: (signal: AbortSignal) => Promise<T>): { answer: T | null; error: unknown } {
  const [state, setState] = useState<{ key: string; answer: T | null; error: unknown }>({ key: "", answer: null, error: null });
  useEffect(() => {
    const stop = new AbortController();
    read(stop.signal).then(
      (answer) => setState({ key, answer, error: null }),
      (error) => isAborted(error) || setState((before) => ({ ...before, key, error })),
    );
    return () => stop.abort();
  }, [key, version]);
  return state.key === key ? state : { answer: null, error: null };
}

export function Values({ runId, data }: { runId: string; data: RunData }) {
  const version = data.news.value.kinds.values ?? 0;
  const [search, setSearch] = useState("");
  const index = useAnswer(runId, version, (signal) => ask<Index>(`${pathOf(runId)}/observations/index`, { signal, minOffsets: data.news.peek().newest }));
  const all = index.answer?.series ?? [];
  const chosen = all.find((one) => one.series === NAME.value) ?? all[0];
  if (index.answer && !all.length) return <p class="empty-note">Each value of this run is a number: the charts have them.</p>;
  return (
    <section class="card" aria-label="Values">
      <div class="card-head">
        <h2>Values that are no numbers</h2>
        <span class="quiet">{index.answer && plural(all.length, "name")}{index.answer?.exact === false && " and more"}</span>
      </div>
      <Problem error={index.error} />
      <div class="files">
        <div class="tree">
          {all.length > 8 && <input type="search" placeholder="Search names" aria-label="Search names" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />}
          {all.filter((one) => one.series.toLowerCase().includes(search.toLowerCase())).map((one) => (
            <button key={one.series} type="button" class={`tree-row${one === chosen ? " chosen" : ""}`} aria-pressed={one === chosen} title={one.series} onClick={() => (NAME.value = one.series)}>
              <span class="cut">{one.series}</span>
              <span class="quiet tree-size">{one.types.join(", ")} · {count(one.count)}</span>
            </button>
          ))}
        </div>
        {chosen && (
          <div class="preview">
            <strong>{chosen.series}</strong>
            {chosen.types.includes("histogram") && <HistogramMap runId={runId} series={chosen} version={version} />}
            {chosen.types.some((type) => type !== "histogram") && <Lines key={chosen.series} runId={runId} series={chosen} version={version} />}
          </div>
        )}
      </div>
    </section>
  );
}

function HistogramMap({ runId, series, version }: { runId: string; series: ValueSeries; version: number }) {
  const { answer, error } = useAnswer(`${runId}\n${series.series}`, version, (signal) =>
    ask<Histograms & { exact: boolean; total: number }>("/v1/series/histograms", { body: { run_id: runId, name: series.series, steps_limit: STEPS }, signal }),
  );
  const heat = useMemo(() => (answer ? heatOfHistograms(answer) : null), [answer]);
  if (error) return <Problem error={error} />;
  if (!heat || !answer) return null;
  const every = Math.ceil(heat.rows.length / 8);
  const bound = (row: number): string => number(Number(heat.rows[row]?.label ?? NaN), 3);
  return (
    <>
      <p class="quiet">
        {answer.exact ? plural(answer.total, "histogram") : `${count(answer.steps.length)} of ${count(answer.total)} histograms, evenly chosen, with the first and the last`}: values upwards, steps to the right, the colour is the share of the values of a step.
      </p>
      <Heatmap
        label={`Histograms of ${series.series}`}
        heat={heat}
        rowHeight={7}
        labelWidth={64}
        rowText={(row) => (row % every ? "" : bound(row))}
        columnText={(column) => `step ${count(heat.columns[column] ?? 0)}`}
        valueText={(share) => `${number(share * 100, 3)} %`}
        readRow={(row) => `from ${bound(row)}`}
      />
    </>
  );
}

interface Found {
  at: string;
  step: number;
  /** µs */
  time: number;
  type: string;
  value: unknown;
  cut: boolean;
}

interface Page {
  observations: Found[];
  previous_token: string | null;
  has_previous: boolean;
}

/** The newest values first; older ones on request. */
function Lines({ runId, series, version }: { runId: string; series: ValueSeries; version: number }) {
  const [search, setSearch] = useState("");
  const [older, setOlder] = useState<Page[]>([]);
  const [problem, setProblem] = useState<unknown>(null);
  const read = (before: string, signal?: AbortSignal): Promise<Page> => {
    const params = new URLSearchParams({ name: series.series, before, limit: String(PAGE), ...(search ? { search } : {}) });
    return ask<Page>(`${pathOf(runId)}/observations?${params}`, signal ? { signal } : {});
  };
  const key = `${series.series}\n${search}`;
  const { answer, error } = useAnswer(key, version, (signal) => read("end", signal));
  useEffect(() => setOlder([]), [key, version]);
  const pages = answer ? [answer, ...older] : [];
  const oldest = pages.at(-1);
  const more = (): void => void read(oldest!.previous_token!).then((page) => setOlder([...older, page]), setProblem);
  return (
    <>
      <input type="search" placeholder="Search values" aria-label="Search values" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
      <Problem error={error ?? problem} />
      <table class="plain-table">
        <thead><tr><th scope="col" class="num">step</th><th scope="col">time</th><th scope="col">value</th></tr></thead>
        <tbody>
          {pages.flatMap((page) => page.observations.toReversed()).map((one) => (
            <tr key={one.at}>
              <td class="num">{count(one.step)}</td>
              <td class="quiet nowrap">{moment(one.time)}</td>
              <td class="value-text">{shown(one)}{one.cut && <span class="quiet"> … cut</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {answer && !answer.observations.length && <p class="quiet">No value matches.</p>}
      {oldest?.has_previous && oldest.previous_token && <Button onClick={more}>Older values</Button>}
    </>
  );
}

function shown({ type, value }: Found): string {
  if (type === "histogram") return "a histogram";
  return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : valueText(value, 10);
}
