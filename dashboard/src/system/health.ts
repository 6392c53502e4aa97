/** What the status of the system means: what is well, what needs somebody. Pure. */
import { count, plural } from "../components/text";

export interface PartitionLag {
  consumer: string;
  partition: number;
  offset: number;
  end: number | null;
  lag: number | null;
}

export interface Delivery {
  tracker: string;
  runs: number;
  parked: number;
  last_error: string;
  state: "running" | "paused" | "circuit open" | "stopped" | "one-off";
  follows: boolean;
  paused: boolean;
  waiting: number;
  behind: number;
  in_doubt: number;
  circuit_since: number | null;
  retry_at: number | null;
}

export interface DeadLetter {
  id: string;
  run: string | null;
  kind: string;
  reason: string;
  time: number;
}

export interface Status {
  lag: PartitionLag[];
  dead_letters: number | null;
  newest_dead_letter: DeadLetter | null;
  deliveries: Delivery[];
  problems: string[];
}

export type Tone = "good" | "busy" | "warn" | "bad" | "plain";

export interface Verdict {
  tone: Tone;
  text: string;
  /** What to do, or why. */
  next: string;
}

const KEEPS_UP = 100; // records behind that are only what is just being written

/** One consumer over all partitions. */
export interface Consumer {
  name: string;
  /** null: Kafka does not say where the log ends. */
  lag: number | null;
  partitions: PartitionLag[];
}

/** Return the consumers with their lag in all partitions, in the order of the answer. */
export function consumers(lag: readonly PartitionLag[]): Consumer[] {
  const found = new Map<string, Consumer>();
  for (const one of lag) {
    const consumer = found.get(one.consumer) ?? { name: one.consumer, lag: 0, partitions: [] };
    consumer.lag = consumer.lag === null || one.lag === null ? null : consumer.lag + one.lag;
    consumer.partitions.push(one);
    found.set(one.consumer, consumer);
  }
  return [...found.values()];
}

/** Say whether a consumer keeps up. */
export function lagVerdict(lag: number | null): Verdict {
  if (lag === null) return { tone: "warn", text: "lag unknown", next: "Kafka does not say where the log ends" };
  if (lag > KEEPS_UP) return { tone: "busy", text: `${plural(lag, "record")} behind`, next: "it reads what it missed" };
  return { tone: "good", text: lag ? "keeping up" : "up to date", next: "" };
}

/** Say what most needs attention at a tracker. "Up to date" is said only of one that runs and lacks nothing. */
export function trackerVerdict(one: Delivery, lag: number | null): Verdict {
  const behind = lag === null ? "lag unknown" : `${count(lag)} behind`;
  if (one.parked) return { tone: "bad", text: `${plural(one.parked, "run")} parked`, next: one.last_error };
  if (one.state === "one-off") return { tone: "plain", text: "by replay only", next: "no delivery follows the log for it: `gateway replay` sent it chosen runs" };
  if (one.state === "stopped") return { tone: "warn", text: `stopped, ${behind}`, next: "no process delivers to it: see `gateway status`" };
  if (one.paused) return { tone: "warn", text: `paused, ${behind}`, next: `gateway trackers resume ${one.tracker}` };
  if (one.state === "circuit open") return { tone: "bad", text: "does not answer", next: one.last_error };
  if (one.last_error) return { tone: "warn", text: "trying again", next: one.last_error };
  if (one.behind) return { tone: "busy", text: `${plural(one.behind, "run")} still to be sent`, next: "they are read again from their own offsets" };
  if (!one.follows) return { tone: "busy", text: "replay of chosen runs", next: "" };
  return lagVerdict(lag);
}
