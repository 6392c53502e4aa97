/** What can be said of a run's records and their deliveries. Pure. */
import { count, plural } from "../components/text";
import { completeness } from "./log";
import type { RunLog } from "./log";

export interface RunDelivery {
  tracker: string;
  status: "delivering" | "waiting" | "parked" | "none";
  next_offset: number | null;
  is_complete: boolean | null;
  in_doubt: boolean;
  skipped: number;
  error: string;
  /** µs */
  updated: number | null;
  url: string;
}

export interface DeliveriesOfRun {
  as_of: string;
  folded: { partition: number; offset: number };
  missing: number;
  dead_letters: number;
  deliveries: RunDelivery[];
}

export interface Certificate {
  tone: "good" | "busy" | "bad";
  word: string;
  sentences: string[];
}

/** Say whether the store has all that was recorded, and name each loss. `found` is null until it was read. */
export function certificate(log: Pick<RunLog, "completeness" | "points_dropped" | "truncated">, found: DeliveriesOfRun | null): Certificate {
  const { tone, word, text } = completeness(log.completeness);
  const letters = found?.dead_letters ?? 0;
  const sentences = [
    `${text}.`,
    ...(found ? [`The store has the log of this run up to partition ${found.folded.partition}, offset ${count(found.folded.offset)}.`] : []),
    ...(letters ? [`${plural(letters, "record")} cannot be folded and ${letters === 1 ? "waits" : "wait"} for a decision: \`gateway dead-letters list\` shows why.`] : []),
    ...(log.points_dropped ? [`Retention dropped the points from PostgreSQL at ${log.points_dropped.slice(0, 19)} UTC.`] : []),
  ];
  return letters ? { tone: "bad", word: "Dead letters", sentences } : { tone, word, sentences };
}

/** What a tracker has of a run whose newest folded record is before the offset `end`. */
export function deliveryVerdict(one: RunDelivery, end: number): { tone: "good" | "busy" | "warn" | "bad" | "plain"; word: string } {
  if (one.status === "none") return { tone: "plain", word: "has nothing of it" };
  if (one.status === "parked") return { tone: "bad", word: "refused" };
  if (one.status === "waiting") return { tone: "warn", word: "does not answer, tried again" };
  if (one.in_doubt) return { tone: "warn", word: "a call is in doubt, tried again" };
  if (one.is_complete) return { tone: "good", word: "has all" };
  if (one.is_complete === null) return { tone: "busy", word: "receives its history" };
  return { tone: "busy", word: `behind by up to ${plural(end - (one.next_offset ?? 0), "record")} of its partition` };
}
