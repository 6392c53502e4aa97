/**
 * What the stream said of runs since the answer that is shown: it is laid over rows until an answer includes it.
 *
 * Pure but for its own memory. Only runs that are on the page are kept.
 */
import { covers, parseOffsets } from "../api/offsets";
import type { StreamEvent } from "../api/types";
import type { Row } from "./rows";

type Values = Readonly<Record<string, unknown>>;

const STATES: Readonly<Record<string, string>> = {
  run_created: "created",
  run_started: "running",
  run_resumed: "running",
  run_reopened: "running",
  run_finished: "finished",
  run_failed: "failed",
  run_killed: "killed",
};

/** Return the values of a row after an event, for what an event says by itself. */
export function afterEvent(values: Values, event: StreamEvent): Values {
  const next: Record<string, unknown> = { ...values };
  const state = STATES[event.kind];
  if (state !== undefined) next["fact:state"] = state;
  else if (values["fact:state"] === "lost") next["fact:state"] = "running"; // it speaks again
  if (state === "finished" || state === "failed" || state === "killed") next["fact:ended"] = event.time;
  if ("fact:updated" in values) next["fact:updated"] = Math.max(event.time, Number(values["fact:updated"] ?? 0));
  for (const { series, points } of event.series ?? []) {
    const name = `metric:${series}`;
    const last = points.at(-1);
    if (last && name in values) next[name] = last[2];
  }
  return next;
}

/** Events by run that the newest answer may not include. */
export class Fresh {
  #events = new Map<string, StreamEvent[]>();
  #newest = new Map<number, number>();

  /** Note an event; `isShown`: its run is on the page. */
  see(event: StreamEvent, isShown: boolean): void {
    this.#newest.set(event.partition, event.offset + 1);
    if (!isShown) return;
    const before = this.#events.get(event.run_id) ?? [];
    this.#events.set(event.run_id, [...before.slice(-MOST_EVENTS), event]);
  }

  /** Forget what an answer includes. True: it includes all that was seen. */
  answered(asOf: string): boolean {
    const now = parseOffsets(asOf);
    for (const [id, events] of this.#events) {
      const rest = events.filter((event) => event.offset >= (now.get(event.partition) ?? 0));
      if (rest.length) this.#events.set(id, rest);
      else this.#events.delete(id);
    }
    return covers(now, this.#newest);
  }

  /** Lay over a row what came after its answer. */
  over(row: Row): Row {
    const events = this.#events.get(row.id);
    return events ? { id: row.id, values: events.reduce(afterEvent, row.values) } : row;
  }

  /** Begin anew: everything is read again. */
  clear(): void {
    this.#events.clear();
    this.#newest.clear();
  }
}

const MOST_EVENTS = 50; // of a run; an answer includes the others within a second or two
