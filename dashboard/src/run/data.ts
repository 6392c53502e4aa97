/** What the run's page reads, again whenever the stream says that the run has news. */
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { ApiError, isAborted } from "../api/errors";
import { paced } from "../api/paced";
import { follow } from "../api/stream";
import { covers, parseOffsets } from "../api/offsets";
import type { Numeric } from "../api/types";
import { quote } from "../runs/sections";
import type { RunLog } from "./log";

const EVERY_MS = 2_000;
const FOLDING_MS = 500; // until it is asked again for what the store did not have yet

export interface RunData {
  /** null: not read yet, or not known. */
  log: RunLog | null;
  /** Last value of each series. */
  last: Record<string, Numeric>;
  console: readonly string[];
  /** null while all is well; 404: no such run yet. */
  error: unknown;
}

interface ConsoleAnswer {
  lines: { stream: string; line: string }[];
}

/** Read a run, and again while it goes on. */
export function useRun(runId: string): RunData {
  const [data, setData] = useState<RunData>({ log: null, last: {}, console: [], error: null });
  useEffect(() => {
    const stop = new AbortController();
    const newest = new Map<number, number>();
    const read = async (): Promise<void> => {
      try {
        const { asOf, ...found } = await readRun(runId, stop.signal);
        setData(found);
        if (!covers(parseOffsets(asOf), newest)) again.ask(FOLDING_MS);
      } catch (error) {
        if (isAborted(error) || stop.signal.aborted) return;
        setData((before) => ({ ...before, error }));
        if (newest.size || !(error instanceof ApiError && error.status === 404)) again.ask();
      }
    };
    const again = paced(read, EVERY_MS);
    const end = follow(
      { run: runId, points: "last" },
      {
        onEvents: (events) => {
          for (const event of events) newest.set(event.partition, event.offset + 1);
          again.ask();
        },
        onReset: () => again.ask(0),
      },
    );
    again.ask(0);
    return () => {
      end();
      again.stop();
      stop.abort();
    };
  }, [runId]);
  return data;
}

async function readRun(runId: string, signal: AbortSignal): Promise<RunData & { asOf: string }> {
  const path = `/v1/runs/${encodeURIComponent(runId)}`;
  const where = `run_id = ${quote(runId)}`;
  const [log, page, lines] = await Promise.all([
    ask<RunLog>(`${path}/log?max_points=1&max_series=1`, { signal }),
    ask<{ as_of: string; runs: { last: Record<string, Numeric> }[] }>(`/v1/runs?${new URLSearchParams({ where, stage: "all", limit: "1" })}`, { signal }),
    ask<ConsoleAnswer>(`${path}/console?limit=40`, { signal }).catch((error: unknown): ConsoleAnswer => {
      if (error instanceof ApiError && error.status === 404) return { lines: [] };
      throw error;
    }),
  ]);
  return { log, last: page.runs[0]?.last ?? {}, console: lines.lines.map((one) => one.line), error: null, asOf: page.as_of };
}
