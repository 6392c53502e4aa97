// The runs of a workspace as signals: found again when the filter changes or the stream tells of a run.
import { effect, signal, type ReadonlySignal } from "@preact/signals";
import type { Offsets } from "../api/offsets";
import { attemptsOf, findRuns, MOST_RUNS, type FoundRuns, type RunQuestion } from "../charts/data/runs";
import type { AttemptTimes } from "../charts/maths/axes";

const AGAIN_MS = 400; // events about runs come in bursts

/** Finds runs. `close` it when the page goes. */
export class Runs {
  readonly found = signal<FoundRuns | null>(null);
  readonly problem = signal<unknown>(null);
  /** Attempts of runs, read once an axis needs them. */
  readonly attempts = signal<ReadonlyMap<string, readonly AttemptTimes[]>>(new Map());
  private readonly stops: (() => void)[] = [];
  private stop = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly question: ReadonlySignal<RunQuestion>,
    needsAttempts: ReadonlySignal<boolean>,
  ) {
    this.stops.push(effect(() => void (this.question.value, this.find(new Map()))));
    this.stops.push(effect(() => void (needsAttempts.value && this.found.value && this.readAttempts(this.found.value))));
  }

  /** Find them again, soon: something happened up to these offsets. */
  again(minOffsets: Offsets): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.find(minOffsets);
    }, AGAIN_MS);
  }

  close(): void {
    for (const stop of this.stops) stop();
    clearTimeout(this.timer);
    this.stop.abort();
  }

  private async find(minOffsets: Offsets): Promise<void> {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal: own } = this.stop;
    const asked = this.question.peek();
    try {
      this.found.value = await findRuns({ ...asked, limit: Math.max(1, Math.min(asked.limit, MOST_RUNS)) }, minOffsets, own);
      this.problem.value = null;
    } catch (error) {
      if (!own.aborted) this.problem.value = error;
    }
  }

  private async readAttempts(found: FoundRuns): Promise<void> {
    const missing = found.runs.filter((run) => !this.attempts.peek().has(run.run_id));
    if (!missing.length) return;
    const { signal: own } = this.stop;
    try {
      const read = await Promise.all(missing.map(async (run) => [run.run_id, await attemptsOf(run.run_id, own)] as const));
      this.attempts.value = new Map([...this.attempts.peek(), ...read]);
    } catch (error) {
      if (!own.aborted) this.problem.value = error;
    }
  }
}
