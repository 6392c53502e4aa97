// Groups of runs of one panel: read when asked, and again while points come.
import { ask } from "../../api/client";
import type { GroupsAnswer } from "./answers";
import type { Window } from "./store";

const BUCKETS = 400;
const AGAIN_MS = 4_000; // a group is computed from all its runs: not with each point

/** What groups of a panel are made of. */
export interface GroupQuestion {
  runs: readonly string[];
  group_by: readonly (readonly [kind: string, name: string])[];
  names: readonly string[];
  range: Window;
}

/** Asks for groups; `onAnswer` hears each answer to the latest question. */
export class GroupReader {
  answer: GroupsAnswer | null = null;
  private asked = "";
  private readAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stop = new AbortController();

  constructor(
    private readonly onAnswer: () => void,
    private readonly onProblem: (error: unknown) => void,
  ) {}

  /** Ask, unless the same was asked; `again` because points came: later, and once for many. */
  ask(question: GroupQuestion, { again = false } = {}): void {
    const written = JSON.stringify(question);
    if (written === this.asked && !again) return;
    const isNew = written !== this.asked;
    if (!isNew && this.timer !== undefined) return;
    this.asked = written;
    clearTimeout(this.timer);
    const wait = isNew ? 0 : Math.max(0, this.readAt + AGAIN_MS - performance.now());
    this.timer = setTimeout(() => void this.read(question), wait);
  }

  close(): void {
    clearTimeout(this.timer);
    this.stop.abort();
  }

  private async read({ range, ...question }: GroupQuestion): Promise<void> {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.readAt = performance.now();
    this.timer = undefined;
    try {
      this.answer = await ask<GroupsAnswer>("/v1/series/groups", { body: { ...question, buckets: BUCKETS, ...(range ? { range } : {}) }, signal });
      this.onAnswer();
    } catch (error) {
      if (!signal.aborted) this.onProblem(error);
    }
  }
}
