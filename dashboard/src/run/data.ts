/** What the run's page reads, again whenever the stream says that the run has news. */
import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import { ask } from "../api/client";
import { ApiError, isAborted } from "../api/errors";
import { covers, parseOffsets } from "../api/offsets";
import type { Offsets } from "../api/offsets";
import { paced } from "../api/paced";
import { follow } from "../api/stream";
import type { Numeric } from "../api/types";
import { quote } from "../runs/sections";
import type { RunLog } from "./log";

const EVERY_MS = 2_000;
const FOLDING_MS = 500; // until it is asked again for what the store did not have yet
const LAST_VALUES = 200;

/** What the stream said of the run: how many events of each kind, and where in the log the newest ends. */
export interface News {
  kinds: Readonly<Record<string, number>>;
  newest: Offsets;
}

export interface RunData {
  /** null: not read yet, or not known. */
  log: RunLog | null;
  /** Last value of up to LAST_VALUES series. */
  last: Record<string, Numeric>;
  /** null while all is well; 404: no such run yet. */
  error: unknown;
  news: Signal<News>;
  /** Read again now, as after a change of this page. */
  again: () => void;
}

/** Read a run, and again while it goes on. */
export function useRun(runId: string): RunData {
  const news = useMemo(() => signal<News>({ kinds: {}, newest: new Map() }), [runId]);
  const [data, setData] = useState<Pick<RunData, "log" | "last" | "error">>({ log: null, last: {}, error: null });
  const [again, setAgain] = useState<() => void>(() => () => undefined);
  useEffect(() => {
    const stop = new AbortController();
    const read = async (): Promise<void> => {
      try {
        const { asOf, ...found } = await readRun(runId, stop.signal);
        setData(found);
        if (!covers(parseOffsets(asOf), news.peek().newest)) pace.ask(FOLDING_MS);
      } catch (error) {
        if (isAborted(error) || stop.signal.aborted) return;
        setData((before) => ({ ...before, error }));
        if (news.peek().newest.size || !(error instanceof ApiError && error.status === 404)) pace.ask();
      }
    };
    const pace = paced(read, EVERY_MS);
    const end = follow(
      { run: runId, points: "last" },
      {
        onEvents: (events) => {
          const kinds = { ...news.peek().kinds };
          const newest = new Map(news.peek().newest);
          for (const event of events) {
            kinds[event.kind] = (kinds[event.kind] ?? 0) + 1;
            newest.set(event.partition, event.offset + 1);
          }
          news.value = { kinds, newest };
          pace.ask();
        },
        onReset: () => pace.ask(0),
      },
    );
    pace.ask(0);
    setAgain(() => () => pace.ask(0));
    return () => {
      end();
      pace.stop();
      stop.abort();
    };
  }, [runId]);
  return { ...data, news, again };
}

async function readRun(runId: string, signal: AbortSignal): Promise<Pick<RunData, "log" | "last" | "error"> & { asOf: string }> {
  const params = new URLSearchParams({ where: `run_id = ${quote(runId)}`, stage: "all", limit: "1", last: String(LAST_VALUES) });
  const [log, page] = await Promise.all([
    ask<RunLog>(`${pathOf(runId)}/log?max_points=1&max_series=1`, { signal }),
    ask<{ as_of: string; runs: { last: Record<string, Numeric>; best: Record<string, number> }[] }>(`/v1/runs?${params}`, { signal }),
  ]);
  const [row] = page.runs; // the log has as many best values as series: one
  return { log: { ...log, best: row?.best ?? log.best }, last: row?.last ?? {}, error: null, asOf: page.as_of };
}

/** The path of a run in the API. */
export function pathOf(runId: string): string {
  return `/v1/runs/${encodeURIComponent(runId)}`;
}
