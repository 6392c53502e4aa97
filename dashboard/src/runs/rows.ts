/**
 * Rows of a table of any length, of which only the windows that are looked at are read.
 *
 * A window that is asked for again keeps its old rows until the new ones come, so that a table never blinks.
 */
import { signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { isAborted } from "../api/errors";

export const WINDOW = 200;

export interface Row {
  id: string;
  /** Values by the column's written key. */
  values: Readonly<Record<string, unknown>>;
}

export interface WindowAnswer {
  rows: readonly Row[];
  total: number;
  asOf: string;
}

/** Reads the rows from `offset` on. */
export type ReadWindow = (offset: number, limit: number, stop: AbortSignal) => Promise<WindowAnswer>;

export class Rows {
  #windows = new Map<number, readonly Row[]>();
  #asked = new Map<number, AbortController>();
  #stale = new Set<number>();
  #wanted: readonly [first: number, last: number] = [0, WINDOW - 1];
  #version = signal(0);
  #total = signal<number | null>(null);
  #error = signal<unknown>(null);

  constructor(private read: ReadWindow) {}

  /** How many rows there are; null until the first answer. */
  readonly total: ReadonlySignal<number | null> = this.#total;
  /** Grows whenever a row has changed. */
  readonly version: ReadonlySignal<number> = this.#version;
  /** Why the last question was refused; null when it was not. */
  readonly error: ReadonlySignal<unknown> = this.#error;

  /** Return a row, undefined until it is there. */
  at(index: number): Row | undefined {
    return this.#windows.get(Math.floor(index / WINDOW))?.[index % WINDOW];
  }

  /** Say which rows are looked at, first and last. */
  want(first: number, last: number): void {
    this.#wanted = [first, last];
    this.#ask();
  }

  /** Read all that is looked at again, perhaps in another way; what is not looked at is forgotten when it is. */
  again(read: ReadWindow = this.read): void {
    if (read !== this.read) for (const stop of this.#asked.values()) stop.abort();
    if (read !== this.read) this.#asked.clear();
    this.read = read;
    for (const window of this.#windows.keys()) this.#stale.add(window);
    this.#ask();
  }

  /** Whether a run has a row that is loaded. */
  has(id: string): boolean {
    for (const rows of this.#windows.values()) if (rows.some((row) => row.id === id)) return true;
    return false;
  }

  /** End all questions. */
  stop(): void {
    for (const stop of this.#asked.values()) stop.abort();
    this.#asked.clear();
  }

  #ask(): void {
    const [first, last] = this.#wanted;
    const total = this.#total.peek();
    const end = total === null ? last : Math.min(last, Math.max(total - 1, 0));
    for (let window = Math.floor(first / WINDOW); window <= Math.floor(end / WINDOW); window += 1) {
      const isThere = this.#windows.has(window) && !this.#stale.has(window);
      if (!isThere && !this.#asked.has(window)) void this.#load(window);
    }
    for (const [window, stop] of this.#asked) {
      if (window < Math.floor(first / WINDOW) - 1 || window > Math.floor(end / WINDOW) + 1) {
        stop.abort(); // scrolled past
        this.#asked.delete(window);
      }
    }
  }

  async #load(window: number): Promise<void> {
    const stop = new AbortController();
    this.#asked.set(window, stop);
    this.#stale.delete(window);
    try {
      const answer = await this.read(window * WINDOW, WINDOW, stop.signal);
      if (stop.signal.aborted) return;
      this.#error.value = null;
      this.#windows.set(window, answer.rows);
      this.#forget(answer.total);
      this.#total.value = answer.total;
      this.#version.value += 1;
    } catch (error) {
      if (isAborted(error) || stop.signal.aborted) return;
      this.#error.value = error;
    } finally {
      if (this.#asked.get(window) === stop) this.#asked.delete(window);
    }
    if (this.#stale.has(window)) this.#ask(); // something happened while it was read
  }

  /** Forget windows behind the end, and stale ones that nobody looks at. */
  #forget(total: number): void {
    const [first, last] = this.#wanted;
    for (const window of this.#windows.keys()) {
      const isSeen = window >= Math.floor(first / WINDOW) - 1 && window <= Math.floor(last / WINDOW) + 1;
      if (window * WINDOW >= Math.max(total, 1) || (this.#stale.has(window) && !isSeen)) {
        this.#windows.delete(window);
        this.#stale.delete(window);
      }
    }
  }
}
