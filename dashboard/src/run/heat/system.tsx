/** The machine: one row for each rank and GPU over time, and the chart of the one that is picked. */
import { useComputed } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import { ask } from "../../api/client";
import { isAborted } from "../../api/errors";
import { paced } from "../../api/paced";
import type { AnswerSeries, SeriesAnswer } from "../../charts/data/answers";
import type { SeriesStore } from "../../charts/data/store";
import { number } from "../../charts/format";
import { toNumber } from "../../charts/maths/points";
import { Problem } from "../../components/problem";
import { count, moment } from "../../components/text";
import { change } from "../../state/address";
import * as charts from "../../charts/grid/address";
import { METRIC, openConsole, VIEW } from "../address";
import type { RunData } from "../data";
import { heatOfSeries, machineSeries } from "./heat";
import type { MachineSeries } from "./heat";
import { Heatmap } from "./heatmap";
import { Button } from "../../components/button";

const MOST_ROWS = 512; // of one heat map; the charts have all
const BUCKETS = 100;
const EVERY_MS = 5_000;
const compare = new Intl.Collator("en", { numeric: true }).compare;

export function SystemView({ runId, store, data }: { runId: string; store: SeriesStore; data: RunData }) {
  const metrics = useComputed(() => {
    const found = new Map<string, MachineSeries[]>();
    for (const names of store.panels.value.values()) {
      for (const name of names) {
        const one = machineSeries(name);
        if (one) found.set(one.metric, [...(found.get(one.metric) ?? []), one]);
      }
    }
    for (const series of found.values()) series.sort((a, b) => compare(a.device, b.device));
    return new Map([...found].sort(([a], [b]) => rank(a) - rank(b) || compare(a, b)));
  }).value;
  const metric = metrics.has(METRIC.value) ? METRIC.value : metrics.keys().next().value ?? "";
  const all = metrics.get(metric) ?? [];
  const series = all.slice(0, MOST_ROWS);
  const { found, error } = useSeries(runId, series.map((one) => one.series), data);
  const heat = useMemo(() => {
    const byName = new Map(found.map((one) => [one.series, one]));
    return heatOfSeries(
      series.map(({ device, series: name }) => {
        const one = byName.get(name);
        // Steps of the samples begin anew in each attempt, so that they replace each other: times do not.
        const all = one ? [one.columns, ...(one.attempts ?? []).map((attempt) => attempt.columns)] : [];
        return { label: device, times: all.flatMap((columns) => columns.times), values: all.flatMap((columns) => columns.values.map(toNumber)) };
      }),
    );
  }, [found, series.map((one) => one.series).join("\n")]);
  const [picked, setPicked] = useState<{ row: number; time: number } | null>(null);
  useEffect(() => setPicked(null), [metric]);
  if (store.isReady.value && !metrics.size) {
    return <p class="empty-note">This run recorded nothing of its machines. GATEWAY_SYSTEM_METRICS_S says how often it does.</p>;
  }
  const device = picked ? series[picked.row] : undefined;
  return (
    <section class="card" aria-label="Machines">
      <div class="card-head">
        <h2>Machines over time</h2>
        <label class="push">
          metric{" "}
          <select value={metric} onChange={(event) => (METRIC.value = event.currentTarget.value)}>
            {[...metrics].map(([name, of]) => <option key={name} value={name}>{`${name} (${of.length})`}</option>)}
          </select>
        </label>
      </div>
      <Problem error={error} />
      <div class="card-body">
        {heat.columns.length > 0 && (
          <Heatmap
            label={metric}
            heat={heat}
            rowText={(row) => heat.rows[row]?.label ?? ""}
            columnText={(column) => moment(heat.columns[column] ?? 0)}
            valueText={(value) => number(value, 4)}
            onPick={(row, column) => setPicked({ row, time: heat.columns[column]! })}
          />
        )}
        {all.length > series.length && <p class="quiet">{count(all.length)} rows, the first {count(series.length)} are here; the charts have all.</p>}
        {device && picked && (
          <p class="picked">
            <strong>{device.device}</strong> <span class="quiet">{moment(picked.time)}</span>
            <Button icon="chart" onClick={() => openChart(device.series, picked.time)}>Its chart</Button>
            <Button icon="menu" onClick={() => openConsole(picked.time)}>Console at that time</Button>
          </p>
        )}
      </div>
    </section>
  );
}

function openChart(series: string, time: number): void {
  const at = series.endsWith("}") ? series.indexOf("{") : -1;
  change([VIEW.written("overview"), charts.X.written("time"), charts.FULL.written(at > 0 ? series.slice(0, at) : series), charts.MARK.written(Math.round(time))]);
}

/** What people look for first. */
function rank(metric: string): number {
  const at = ["gpu utilization_percent", "cpu_percent", "gpu memory_percent"].indexOf(metric);
  return at < 0 ? 9 : at;
}

function useSeries(runId: string, names: readonly string[], data: RunData): { found: readonly AnswerSeries[]; error: unknown } {
  const [state, setState] = useState<{ found: readonly AnswerSeries[]; error: unknown }>({ found: [], error: null });
  const samples = data.news.value.kinds.system_metrics ?? 0;
  const key = JSON.stringify([runId, names]);
  const reader = useMemo(() => {
    const stop = new AbortController();
    const read = async (): Promise<void> => {
      if (!names.length) return;
      try {
        const found: AnswerSeries[] = [];
        for (let token: string | null = null; ; ) {
          const body = { runs: [runId], names, buckets: BUCKETS, superseded: true, ...(token ? { page_token: token } : {}) };
          const answer: SeriesAnswer = await ask("/v1/series", { body, signal: stop.signal, minOffsets: data.news.peek().newest });
          found.push(...answer.series);
          token = answer.next_page_token;
          if (!token) break;
        }
        setState({ found, error: null });
      } catch (error) {
        if (!isAborted(error) && !stop.signal.aborted) setState((before) => ({ ...before, error }));
      }
    };
    const pace = paced(read, EVERY_MS);
    return { pace, close: () => (pace.stop(), stop.abort()) };
  }, [key]);
  useEffect(() => {
    reader.pace.ask(0);
    return reader.close;
  }, [reader]);
  useEffect(() => reader.pace.ask(), [samples]);
  return state;
}
