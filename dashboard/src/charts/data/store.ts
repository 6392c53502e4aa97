// The series of the runs that a page shows: read when a chart comes into view, kept current by one stream.
import { batch, signal } from "@preact/signals";
import { ask } from "../../api/client";
import { parseOffsets, type Offsets } from "../../api/offsets";
import { follow, type News, type RunsTopic } from "../../api/stream";
import type { StreamEvent } from "../../api/types";
import type { IndexAnswer, MeaningsAnswer, SeriesAnswer, SeriesRange } from "./answers";
import { delays } from "./delay";
import { Held, Shelf } from "./held";
import { Meanings, type Panels } from "./meanings";

// Of up to four points each. Of many runs fewer: their lines lie over each other, and a zoom reads its part anew.
const BUCKETS = { few: 1_000, many: 400 };
const MANY_RUNS = 5;
const GATHER_MS = 25; // charts that come into view together are one question
const SERIES_A_QUESTION = 40; // answers come in pieces: the first charts do not wait for the last
const INDEX_PAGE = { first: 200, other: 10_000 }; // series
const FIRST_CHARTS_MS = 1_000; // at most, until the index is read on
const REREAD_MS = 250;
const MOST_RUNS = 1_000; // of one stream
const MEANINGS_MS = { fresh: 1_000, known: 10_000 }; // after a new series, and other news, until definitions are read again
const RUNS_MS = { other: 500, same: 3_000 }; // until the list of runs is read again

/** Which points are asked for: null of all. */
export type Window = SeriesRange | null;

type Listener = () => void;

/** Reads, holds and follows series. `close` it when the page goes. */
export class SeriesStore {
  /** What the code of the runs says of metrics. */
  readonly meanings = signal(new Meanings());
  /** Names of the series of each panel: all that the runs have. */
  readonly panels = signal<Panels>(new Map());
  /** What went wrong last, or null. */
  readonly problem = signal<unknown>(null);
  /** Whether the index was read. */
  readonly isReady = signal(false);

  private runs: readonly string[] = [];
  private question: RunsTopic = {};
  private hasStarted = false;
  private fresh = new Set<string>(); // names that the stream added
  private onCharts: (() => void) | null = null; // hears that charts have their points
  private hasNames = false; // of the first page of the index: charts may read
  private shown = new Set<string>();
  private superseded = false;
  private window: Window = null;
  private readonly whole = new Shelf();
  private readonly part = new Shelf();
  private attempts = new Map<string, number>();
  private readonly wanted = new Map<string, number>(); // panel -> charts that show it
  private readonly listeners = new Map<string, Set<Listener>>();
  private pending: StreamEvent[] | null = null; // events that came while a question was open
  private questions = 0;
  private meaningsAsked = 0;
  private said = "[]"; // the definitions of `meanings`, to see whether they changed
  /** Where the events of the stream end: an answer to a later question has them all. */
  private readonly seen = new Map<number, number>();
  private stopStream: (() => void) | null = null;
  private stop = new AbortController();
  private gather: ReturnType<typeof setTimeout> | undefined;
  private reread: ReturnType<typeof setTimeout> | undefined;
  private runsTimer: ReturnType<typeof setTimeout> | undefined;
  private meaningsTimer: ReturnType<typeof setTimeout> | undefined;
  private meaningsAt = Infinity; // when it ends

  /** With `all`, `onRuns` hears when runs that the question of `setRuns` finds have news. */
  constructor(private readonly options: { all?: boolean; onRuns?: (minOffsets: Offsets) => void } = {}) {}

  /** Show these runs, found by `question`: the index is read again, and the stream begins where it ends. */
  setRuns(runs: readonly string[], question: RunsTopic = {}): void {
    const isSame = JSON.stringify(question) === JSON.stringify(this.question);
    this.question = question;
    if (this.hasStarted && isSame && runs.length === this.runs.length && runs.every((run, at) => run === this.runs[at])) return;
    this.hasStarted = true;
    this.runs = runs;
    this.shown = new Set(runs);
    for (const shelf of [this.whole, this.part]) shelf.keep(this.shown);
    if (!runs.length) this.panels.value = new Map();
    void this.start();
  }

  /** Choose the points that are read: of a window with its own buckets, and superseded ones. */
  setWindow(window: Window, superseded: boolean): void {
    const isSame = JSON.stringify(window) === JSON.stringify(this.window);
    if (superseded !== this.superseded) this.whole.expire();
    else if (isSame) return;
    this.window = window;
    this.superseded = superseded;
    this.part.clear();
    this.readSoon();
  }

  /** Keep a panel current and hear of its changes while it is on the screen. Returns what ends it. */
  want(panel: string, listener: Listener): () => void {
    this.wanted.set(panel, (this.wanted.get(panel) ?? 0) + 1);
    const all = this.listeners.get(panel) ?? new Set();
    this.listeners.set(panel, all.add(listener));
    this.readSoon();
    return () => {
      all.delete(listener);
      if (!all.size) delays.forget(panel);
      const left = (this.wanted.get(panel) ?? 1) - 1;
      if (left > 0) this.wanted.set(panel, left);
      else this.wanted.delete(panel);
    };
  }

  /** The series of a run: that of the window, if it was read, else the whole one. */
  held(run: string, series: string): Held | undefined {
    return (this.window && this.part.get(run, series)) || this.whole.get(run, series);
  }

  /** A series of a run from its first point to its last, if it was read. */
  heldWhole(run: string, series: string): Held | undefined {
    return this.whole.get(run, series);
  }

  /** The series that code made the x axis of all these series, if the runs have it; "": there is none. */
  x(names: readonly string[]): string {
    const x = this.meanings.value.xOf(names);
    return x && this.panels.value.get(this.meanings.value.panelOf(x))?.has(x) ? x : "";
  }

  close(): void {
    this.stop.abort();
    this.stopStream?.();
    clearTimeout(this.gather);
    clearTimeout(this.reread);
    clearTimeout(this.runsTimer);
    clearTimeout(this.meaningsTimer);
  }

  private async start(): Promise<void> {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal: stop } = this.stop;
    this.stopStream?.();
    this.stopStream = null;
    batch(() => {
      for (const shelf of [this.whole, this.part]) shelf.expire();
      this.attempts.clear();
      this.pending = null;
      this.questions = 0;
      this.problem.value = null;
      this.hasNames = false;
      this.fresh.clear();
      this.isReady.value = false;
    });
    const onReset = () => stop.aborted || void this.start();
    const follower = { onEvents: (events: readonly StreamEvent[]) => this.takeAll(events), onNews: (news: News) => this.hear(news), onReset };
    if (!this.runs.length) {
      this.isReady.value = true;
      if (this.options.all) this.stopStream = follow({ topics: { runs: this.question } }, { ...follower, onReset: () => this.options.onRuns?.(this.seen) });
      return;
    }
    await this.guard(stop, async () => {
      await this.readIndex(stop, (asOf) => {
        const topics = { series: { runs: this.runs.slice(0, MOST_RUNS) }, ...(this.options.all ? { runs: this.question } : {}) };
        this.stopStream = follow({ topics }, follower, asOf);
        this.hasNames = true;
        this.readSoon();
      });
      this.isReady.value = true;
      this.readSoon();
    });
  }

  /** Read the names of all series. `onFirst` hears, after the first page, from which position the stream adds to them. */
  private async readIndex(stop: AbortSignal, onFirst: (asOf: string) => void): Promise<void> {
    const names = new Set<string>();
    const meanings = Promise.race([this.guard(stop, () => this.readMeanings(stop)), new Promise((resolve) => setTimeout(resolve, FIRST_CHARTS_MS))]);
    for (let token: string | null = null; ; ) {
      const limit = token ? INDEX_PAGE.other : INDEX_PAGE.first;
      const body = { runs: this.runs, limit, ...(token ? { page_token: token } : {}) };
      const answer: IndexAnswer = await ask("/v1/series/index", { body, signal: stop, minOffsets: this.seen });
      for (const series of answer.series) names.add(series);
      await meanings;
      stop.throwIfAborted();
      if (!answer.next_page_token || !this.panels.peek().size) this.panels.value = this.meanings.peek().panels([...names, ...this.fresh]);
      const isFirst = !token;
      token = answer.next_page_token;
      const charts = isFirst && token ? this.firstCharts() : null;
      if (isFirst) onFirst(answer.as_of);
      if (!token) return;
      await charts;
    }
  }

  /** Wait for the points of the first charts: they would share the server with the names of thousands of series. */
  private firstCharts(): Promise<void> {
    return new Promise((resolve) => {
      this.onCharts = resolve;
      setTimeout(resolve, FIRST_CHARTS_MS);
    });
  }

  /** Read what code says of metrics; of several definitions of one name the most common comes first. */
  private async readMeanings(stop: AbortSignal): Promise<void> {
    const found: MeaningsAnswer["definitions"] = [];
    const number = (this.meaningsAsked += 1);
    for (let token: string | null = null; ; ) {
      const body = { runs: this.runs.slice(0, MOST_RUNS), ...(token ? { page_token: token } : {}) };
      const answer: MeaningsAnswer = await ask("/v1/metric-definitions", { body, signal: stop, minOffsets: this.seen });
      found.push(...answer.definitions);
      token = answer.next_page_token;
      if (!token) break;
    }
    const written = JSON.stringify(found.map(({ name, panel, x, unit, hidden }) => [name, panel, x, unit, hidden]));
    if (written === this.said || number !== this.meaningsAsked) return; // of two questions the later one counts
    this.said = written;
    batch(() => {
      this.meanings.value = new Meanings(found);
      this.panels.value = this.meanings.value.panels(namesOf(this.panels.peek()));
    });
  }

  private readMeaningsSoon(afterMs: number): void {
    const { signal: stop } = this.stop;
    const at = performance.now() + afterMs;
    if (at >= this.meaningsAt) return;
    this.meaningsAt = at;
    clearTimeout(this.meaningsTimer);
    this.meaningsTimer = setTimeout(() => {
      this.meaningsAt = Infinity;
      if (!stop.aborted) void this.guard(stop, () => this.readMeanings(stop));
    }, afterMs);
  }

  private readSoon(): void {
    clearTimeout(this.gather);
    this.gather = setTimeout(() => void this.read(), GATHER_MS);
  }

  private async read(): Promise<void> {
    if (!this.hasNames) return;
    const { signal: stop } = this.stop;
    const panels = this.panels.peek();
    const names = [...this.wanted.keys()].flatMap((panel) => [...(panels.get(panel) ?? [])]);
    const questions: Promise<void>[] = [];
    const put = (into: Shelf, window: Window) => {
      const missing = names.filter((name) => !into.asked.has(name));
      for (const name of missing) into.asked.add(name);
      const size = Math.ceil(SERIES_A_QUESTION / this.runs.length);
      for (let at = 0; at < missing.length; at += size) {
        const some = missing.slice(at, at + size);
        questions.push(this.guard(stop, () => this.readSeries(into, some, window, stop)));
      }
    };
    put(this.whole, null);
    if (this.window) put(this.part, this.window);
    await Promise.all(questions);
    if (questions.length) this.onCharts?.();
  }

  private async readSeries(into: Shelf, names: readonly string[], window: Window, stop: AbortSignal): Promise<void> {
    this.pending ??= [];
    this.questions += 1;
    try {
      for (let token: string | null = null; ; ) {
        const range = window ? { range: window } : {};
        const page = token ? { page_token: token } : {};
        const buckets = this.runs.length > MANY_RUNS ? BUCKETS.many : BUCKETS.few;
        const body = { runs: this.runs, names, buckets, superseded: this.superseded, ...range, ...page };
        const answer: SeriesAnswer = await ask("/v1/series", { body, signal: stop, minOffsets: this.seen });
        if (window !== null && window !== this.window) return; // a person has moved on
        this.arrived(into, answer);
        token = answer.next_page_token;
        if (!token) break;
      }
      this.begin(into, names);
    } catch (error) {
      for (const name of names) into.asked.delete(name);
      throw error;
    } finally {
      if (!stop.aborted && (this.questions -= 1) === 0) this.pending = null;
    }
  }

  private arrived(into: Shelf, answer: SeriesAnswer): void {
    const touched = new Set<string>();
    for (const one of answer.series) {
      const held = into.put(one.run_id, one.series, new Held(one, answer.as_of));
      touched.add(this.meanings.peek().panelOf(one.series));
      for (const event of this.pending ?? []) {
        if (event.run_id !== one.run_id) continue;
        for (const series of event.series ?? []) if (series.series === one.series) held.take(event, series);
      }
    }
    this.tell(touched);
  }

  /** Series that a run got while their names were asked for: all their points came by the stream. */
  private begin(into: Shelf, names: readonly string[]): void {
    into.answer(names);
    const touched = new Set<string>();
    for (const event of this.pending ?? []) {
      for (const series of event.series ?? []) {
        if (!names.includes(series.series) || into.get(event.run_id, series.series)) continue;
        for (const one of this.pending ?? []) {
          if (one.run_id === event.run_id) for (const part of one.series ?? []) if (part.series === series.series) into.take(one, part);
        }
        touched.add(this.meanings.peek().panelOf(series.series));
      }
    }
    this.tell(touched);
  }

  private takeAll(events: readonly StreamEvent[]): void {
    const touched = new Set<string>();
    const fresh = new Set<string>();
    for (const event of events) {
      if (!this.shown.has(event.run_id)) continue;
      this.pending?.push(event);
      this.see(event);
      if (event.series) this.takePoints(event, touched, fresh);
      else this.readAgain(); // points that were there do not count any more, or have other names
    }
    if (fresh.size) {
      for (const series of fresh) this.fresh.add(series);
      this.panels.value = this.meanings.peek().panels([...namesOf(this.panels.peek()), ...fresh]);
      this.readMeaningsSoon(MEANINGS_MS.fresh);
      this.readSoon();
    }
    this.tell(touched);
  }

  /** Runs have news: at once when there is one more, or one less, otherwise once in a while. */
  private hear({ event, data }: News): void {
    if (event !== "runs") return;
    for (const [partition, offset] of parseOffsets(String(data.as_of))) this.seen.set(partition, Math.max(offset, this.seen.get(partition) ?? 0));
    const [changed, gone] = [data.changed as string[], data.gone as string[]];
    const isOther = changed.some((run) => !this.shown.has(run)) || gone.some((run) => this.shown.has(run));
    if (changed.some((run) => this.shown.has(run))) this.readMeaningsSoon(MEANINGS_MS.known);
    if (isOther) clearTimeout(this.runsTimer);
    else if (this.runsTimer !== undefined) return;
    const ask = () => {
      this.runsTimer = undefined;
      this.options.onRuns?.(this.seen);
    };
    this.runsTimer = setTimeout(ask, isOther ? RUNS_MS.other : RUNS_MS.same);
  }

  private see(event: StreamEvent): void {
    this.seen.set(event.partition, Math.max(event.offset + 1, this.seen.get(event.partition) ?? 0));
  }

  private takePoints(event: StreamEvent, touched: Set<string>, fresh: Set<string>): void {
    const panels = this.panels.peek();
    const attempt = event.attempt ?? 1;
    const before = this.attempts.get(event.run_id);
    this.attempts.set(event.run_id, Math.max(attempt, before ?? 0));
    if (before !== undefined && attempt !== before) return this.readAgain(); // steps may replace earlier ones
    for (const series of event.series ?? []) {
      const panel = this.meanings.peek().panelOf(series.series);
      if (!panels.get(panel)?.has(series.series)) fresh.add(series.series);
      if ([this.whole, this.part].some((shelf) => shelf.get(event.run_id, series.series)?.overlaps(event))) return this.readAgain();
      const isInWhole = this.whole.take(event, series);
      if (!this.part.take(event, series) && !isInWhole) continue;
      touched.add(panel);
      if (this.listeners.get(panel)?.size && series.points.length) delays.arrived(panel, series.points[0]![1]);
    }
  }

  /** What is held may be wrong (a new attempt, an edit): read it again once the store has this event. */
  private readAgain(): void {
    clearTimeout(this.reread);
    this.reread = setTimeout(() => void this.start(), REREAD_MS);
  }

  private tell(panels: Iterable<string>): void {
    for (const panel of panels) for (const listener of this.listeners.get(panel) ?? []) listener();
  }

  private async guard(stop: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!stop.aborted) this.problem.value = error;
    }
  }
}

function* namesOf(panels: Panels): Generator<string> {
  for (const names of panels.values()) yield* names;
}
