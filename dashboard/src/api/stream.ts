/**
 * The event stream: one connection for all who follow the same thing.
 *
 * Each event is delivered exactly once and in order: a connection that breaks, hangs (no sign of life for SILENT_MS) or
 * was closed while the page was hidden goes on from the position of the last event. Where the server can no longer go
 * on from there (its log is new, or no longer reaches back), followers hear `onReset`: they read their state again,
 * and the stream goes on from now.
 */
import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { changing, errorOf, seen, seenAlive, sleep } from "./client";
import { pointsOf } from "./series_events";
import { SseParser } from "./sse";
import type { StreamEvent } from "./types";

const SILENT_MS = 15_000; // the server sends a sign of life every 5 s
const HIDDEN_AFTER_MS = 20_000; // a hidden page holds no connection: browsers allow six to a server
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5_000;
const WRONG = 400; // status of a question that never gets an answer

/**
 * What is followed: every event of one run or of all, with every point or the last of each series in an event; or
 * `topics` of POST /v1/stream, whose points come as events of kind "metrics" and "reread".
 */
export interface Topic {
  run?: string;
  points?: "all" | "last";
  topics?: Topics;
}

/** Topics of one connection, as docs/query.md describes them. */
export interface Topics {
  series?: { runs: readonly string[]; names?: readonly string[] };
  runs?: RunsTopic;
  alerts?: { run_id?: string; rule_id?: string };
  saved?: { collections?: readonly ("views" | "alert_rules")[] };
}

/** Which runs: see docs/query.md. */
export interface RunsTopic {
  where?: string;
  filter?: unknown;
  experiment_ids?: readonly string[];
  stage?: string;
}

/** An event of a topic that has no points. */
export interface News {
  event: "runs" | "alert" | "saved";
  data: Readonly<Record<string, unknown>>;
}

export interface Follower {
  onEvents?(events: readonly StreamEvent[]): void;
  onNews?(news: News): void;
  /** Events were missed: read the state again. Also called when a stream begins, after its position is fixed. */
  onReset(): void;
}

export type StreamState = "connecting" | "live" | "reconnecting" | "idle";

/** The state of the page's streams, for the frame: the worst of them. */
export const streamState: Signal<StreamState> = signal("idle");

const open = new Map<string, Connection>();

/**
 * Follow the log from now on, or from `since` ("partition:offset,…", the as_of of an answer). Returns what ends it.
 *
 * Without `since` the connection may be shared; `onReset` is called once the stream is open, so that state which is
 * read then misses nothing.
 */
export function follow(topic: Topic, follower: Follower, since?: string): () => void {
  const key = JSON.stringify([topic.run ?? null, topic.points ?? "all", topic.topics ?? null, since ?? null]);
  let connection = open.get(key);
  if (!connection) {
    connection = new Connection(topic, since ?? "", () => open.delete(key));
    open.set(key, connection);
  }
  return connection.add(follower, since === undefined);
}

class Connection {
  #followers = new Set<Follower>();
  #stop = new AbortController();
  #position: string;
  #isOpen = false;

  constructor(
    private readonly topic: Topic,
    since: string,
    private readonly closed: () => void,
  ) {
    this.#position = since;
    void this.#run();
  }

  add(follower: Follower, isNew: boolean): () => void {
    this.#followers.add(follower);
    if (isNew && this.#isOpen) queueMicrotask(() => this.#followers.has(follower) && follower.onReset());
    return () => {
      if (this.#followers.delete(follower) && !this.#followers.size) this.#end();
    };
  }

  #end(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.closed();
    showState();
  }

  state: StreamState = "connecting";

  #show(state: StreamState): void {
    if (this.#stop.signal.aborted) return;
    this.state = state;
    showState();
  }

  async #run(): Promise<void> {
    this.#show("connecting");
    for (let pause = FIRST_PAUSE_MS; !this.#stop.signal.aborted; ) {
      const heard = await this.#once();
      if (this.#stop.signal.aborted) return;
      pause = heard ? FIRST_PAUSE_MS : Math.min(2 * pause, LONGEST_PAUSE_MS);
      try {
        await whenVisible(this.#stop.signal);
        await sleep(pause, this.#stop.signal);
      } catch {
        return; // nobody follows any more
      }
    }
  }

  /** Hold one connection until it ends. True: the server answered with a stream. */
  async #once(): Promise<boolean> {
    const [path, asked] = questionOf(this.topic, this.#position);
    const silence = new Watch(SILENT_MS);
    const hidden = new HiddenWatch(HIDDEN_AFTER_MS);
    try {
      const answer = await fetch(path, {
        ...asked,
        signal: AbortSignal.any([this.#stop.signal, silence.signal, hidden.signal]),
      });
      if (!answer.ok || !answer.body) return await this.#refused(answer);
      silence.heard();
      seenAlive();
      return await this.#read(answer.body, silence);
    } catch {
      return false; // broken, silent, hidden or ended: the caller knows which
    } finally {
      silence.end();
      hidden.end();
      this.#show("reconnecting");
    }
  }

  async #refused(answer: Response): Promise<boolean> {
    const error = seen(errorOf(answer.status, await answer.json().catch(() => ({}))));
    if (error.isAway) return false;
    if (this.#position) this.#position = ""; // it cannot go on from there: from now, with a reset
    else if (error.status === WRONG) this.#end(); // a filter that cannot be read: the page's other questions say why
    return false;
  }

  /** Returns false for a stream that the server ended with a reason: not to be asked for again at once. */
  async #read(body: ReadableStream<Uint8Array>, silence: Watch): Promise<boolean> {
    const parser = new SseParser();
    const text = body.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>).getReader();
    const isFresh = this.#position === "";
    let first = true;
    let isDropped = false;
    for (;;) {
      const { done, value } = await text.read();
      if (done) return !isDropped;
      silence.heard();
      const events: StreamEvent[] = [];
      const news: News[] = [];
      let isReset = false;
      for (const { event, data } of parser.feed(value)) {
        if (!data) continue;
        if (event === "message") events.push(JSON.parse(data) as StreamEvent);
        else if (event === "series" || event === "reread") events.push(...pointsOf(event, data));
        else if (event === "reset") isReset = true;
        else if (event === "dropped") isDropped = true;
        else news.push({ event, data: JSON.parse(data) } as News);
      }
      if (parser.id) this.#position = parser.id;
      if (first && parser.id) {
        first = false;
        this.#isOpen = true;
        this.#show("live");
        isReset ||= isFresh;
      }
      for (const follower of [...this.#followers]) {
        if (isReset) follower.onReset();
        if (events.length) follower.onEvents?.(events);
        for (const one of news) follower.onNews?.(one);
      }
    }
  }
}

function questionOf(topic: Topic, position: string): [path: string, asked: RequestInit] {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (position) headers["Last-Event-ID"] = position;
  if (topic.topics) {
    Object.assign(headers, changing(), { "Content-Type": "application/json" });
    return ["/v1/stream", { method: "POST", headers, body: JSON.stringify(topic.topics) }];
  }
  const params = new URLSearchParams();
  if (topic.run !== undefined) params.set("run", topic.run);
  if (topic.points) params.set("points", topic.points);
  return [`/v1/stream?${params}`, { headers }];
}

function showState(): void {
  const states = [...open.values()].map((one) => one.state);
  const worst: readonly StreamState[] = ["reconnecting", "connecting", "live"];
  streamState.value = worst.find((state) => states.includes(state)) ?? "idle";
}

/** Aborts when nothing was heard for a while. */
class Watch {
  #control = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly ms: number) {
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#control.signal;
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#control.abort(), this.ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Aborts when the page was hidden for a while, and when it is left: a browser that keeps a left page for the way back
 * keeps its connections, too, and with six of them no page of this server loads.
 */
class HiddenWatch {
  #control = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly ms: number) {
    document.addEventListener("visibilitychange", this.#look);
    addEventListener("pagehide", this.#leave);
    this.#look();
  }

  #look = (): void => {
    clearTimeout(this.#timer);
    if (document.hidden) this.#timer = setTimeout(() => this.#control.abort(), this.ms);
  };

  #leave = (): void => this.#control.abort();

  get signal(): AbortSignal {
    return this.#control.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#look);
    removeEventListener("pagehide", this.#leave);
  }
}

function whenVisible(stop: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done, fail) => {
    const look = (): void => {
      if (!stop.aborted && document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      stop.removeEventListener("abort", look);
      if (stop.aborted) fail(stop.reason);
      else done();
    };
    document.addEventListener("visibilitychange", look);
    stop.addEventListener("abort", look);
  });
}
