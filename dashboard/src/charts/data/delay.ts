// How long points take from the call that emits them to the frame that shows them: what the bar of the page says.
import { signal, type Signal } from "@preact/signals";
import { quantile } from "../maths/scales";

const KEPT = 500; // delays of the last charts that were drawn
const OLD_MS = 600_000; // points of an import have times of their own, not those at which they were emitted
const SHOWN_EVERY_MS = 1_000;

/** Delays of the last points that were drawn, ms. */
export interface Shown {
  p50: number;
  p99: number;
  count: number;
}

/** Collects delays: `arrived` when the stream brings a point of a chart that is on the screen, `drawn` after its frame. */
export class Delays {
  readonly shown: Signal<Shown | null> = signal(null);
  private readonly waiting = new Map<string, number>(); // chart -> time at which its oldest point not drawn was emitted
  private readonly kept: number[] = [];
  private shownAt = -Infinity;

  constructor(private readonly now: () => number = () => Date.now()) {}

  /** A point came that was emitted at `time` (µs, by the clock of the training). */
  arrived(chart: string, time: number): void {
    const emitted = time / 1_000;
    if (this.now() - emitted > OLD_MS || (this.waiting.get(chart) ?? Infinity) <= emitted) return;
    this.waiting.set(chart, emitted);
  }

  /** The frame that shows all points of a chart so far was drawn. */
  drawn(chart: string): void {
    const emitted = this.waiting.get(chart);
    if (emitted === undefined) return;
    this.waiting.delete(chart);
    const now = this.now();
    this.kept.push(Math.max(0, now - emitted));
    if (this.kept.length > KEPT) this.kept.shift();
    if (now - this.shownAt < SHOWN_EVERY_MS) return;
    this.shownAt = now;
    const sorted = Float64Array.from(this.kept).sort();
    this.shown.value = { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), count: sorted.length };
  }

  /** A chart is no longer drawn (it left the screen, the page was hidden); null: none is. */
  forget(chart: string | null = null): void {
    if (chart === null) this.waiting.clear();
    else this.waiting.delete(chart);
  }
}

/** The delays of this page. */
export const delays = new Delays();

if (typeof document !== "undefined") document.addEventListener("visibilitychange", () => delays.forget());
