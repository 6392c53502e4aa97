/** The lines of a console as a page holds them: a window of pages that grows at both ends and follows its end. */
import { batch, signal } from "@preact/signals";
import type { Offsets } from "../../api/offsets";
import { ask } from "../../api/client";
import { isAborted } from "../../api/errors";
import { pathOf } from "../data";

const PAGE = 500;
const MOST_KEPT = 20_000; // lines; beyond, pages at the other end are let go

export interface Line {
  at: string;
  stream: string;
  /** µs */
  time: number;
  line: string;
  cut: boolean;
}

interface Page {
  lines: Line[];
  previous_token: string | null;
  next_token: string | null;
  has_previous: boolean;
  has_next: boolean;
}

/** Which lines are wanted. */
export interface Wanted {
  search: string;
  isRegex: boolean;
  stream: string;
  /** µs, in the middle; 0: the last lines. */
  at: number;
}

/** Reads lines in pages. `stop` it when the view goes. */
export class ConsoleLines {
  readonly lines = signal<readonly Line[]>([]);
  readonly problem = signal<unknown>(null);
  readonly isReady = signal(false);
  readonly hasPrevious = signal(false);
  readonly hasNext = signal(false);
  /** How many lines the last page put before those that were there: the view moves by as many. */
  prepended = 0;

  private pages: Page[] = [];
  private isReading = false;
  private readonly aborter = new AbortController();

  constructor(
    private readonly runId: string,
    private readonly wanted: Wanted,
  ) {}

  /** Read the first page: around a time, or the end. */
  async begin(): Promise<void> {
    const { at } = this.wanted;
    await this.read(at ? { around: String(at) } : { before: "end" }, (page) => {
      this.pages = [page];
      this.isReady.value = true;
    });
  }

  /** Read the page before the first line. */
  async before(): Promise<void> {
    const token = this.pages[0]?.previous_token;
    if (!token || !this.hasPrevious.peek()) return;
    await this.read({ before: token }, (page) => {
      if (!page.lines.length) this.pages[0]!.has_previous = false;
      else this.pages.unshift(page);
      this.prepended = page.lines.length;
      while (this.kept() > MOST_KEPT) this.pages.pop();
    });
  }

  /** Read what follows the last line, or what came since: all of it. */
  async after(minOffsets?: Offsets): Promise<void> {
    for (let hasMore = this.isReady.peek(); hasMore; ) {
      const token = this.pages.at(-1)?.next_token;
      hasMore = await this.read(token ? { after: token } : {}, (page) => {
        if (!page.lines.length) {
          if (this.pages.length) this.pages.at(-1)!.has_next = false;
          return;
        }
        if (!token) this.pages = [page];
        else this.pages.push(page);
        for (let gone; this.kept() > MOST_KEPT && (gone = this.pages.shift()); ) this.prepended -= gone.lines.length;
      }, minOffsets);
    }
  }

  private kept(): number {
    return this.pages.reduce((sum, page) => sum + page.lines.length, 0);
  }

  stop(): void {
    this.aborter.abort();
  }

  /** Ask for a page. Says whether others follow. */
  private async read(place: Record<string, string>, take: (page: Page) => void, minOffsets?: Offsets): Promise<boolean> {
    if (this.isReading) return false;
    this.isReading = true;
    const { search, isRegex, stream } = this.wanted;
    const params = new URLSearchParams({ limit: String(PAGE), ...place });
    if (search) params.set(isRegex ? "regex" : "search", search);
    if (stream) params.set("stream", stream);
    try {
      const question = { signal: this.aborter.signal, ...(minOffsets ? { minOffsets } : {}) };
      const page = await ask<Page>(`${pathOf(this.runId)}/console?${params}`, question);
      batch(() => {
        this.problem.value = null;
        this.prepended = 0;
        take(page);
        this.lines.value = this.pages.flatMap((one) => one.lines);
        // A page in the middle of others has them at both its ends: what counts is said by the outer ones.
        this.hasPrevious.value = this.pages[0]?.has_previous ?? false;
        this.hasNext.value = this.pages.at(-1)?.has_next ?? false;
      });
      return page.has_next && page.lines.length > 0;
    } catch (error) {
      if (!isAborted(error) && !this.aborter.signal.aborted) batch(() => ((this.problem.value = error), (this.isReady.value = true)));
      return false;
    } finally {
      this.isReading = false;
    }
  }
}

// Colours and cursor movements of terminals (ECMA-48 control sequences), and OSC titles.
// eslint-disable-next-line no-control-regex
const CONTROLS = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** The text of a line as a terminal would leave it: without control sequences, after its last carriage return. */
export function plainText(line: string): string {
  const text = line.replace(CONTROLS, "").replace(/\r+$/, "");
  return text.slice(text.lastIndexOf("\r") + 1);
}

/** Cut a line at what was searched: parts of odd index match. */
export function parts(line: string, wanted: Pick<Wanted, "search" | "isRegex">): string[] {
  if (!wanted.search) return [line];
  const pattern = wanted.isRegex ? wanted.search : wanted.search.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  try {
    const found: string[] = [];
    let from = 0;
    for (const match of line.matchAll(new RegExp(pattern, wanted.isRegex ? "g" : "gi"))) {
      if (!match[0]) continue;
      found.push(line.slice(from, match.index), match[0]);
      from = match.index + match[0].length;
    }
    return [...found, line.slice(from)];
  } catch {
    return [line]; // an expression of PostgreSQL that JavaScript cannot read: the server has matched it
  }
}

/** Index of the first line at or after a time; the last one without such. */
export function lineAtTime(lines: readonly Line[], time: number): number {
  const at = lines.findIndex((line) => line.time >= time);
  return at < 0 ? lines.length - 1 : at;
}
