// One loop of frames for all charts of a page: each draws when the frame has time left, none while the page is hidden.

/** What draws; called once for each request. */
export interface Drawable {
  draw(): void;
}

const BUDGET_MS = 6; // of a frame of 16 ms: the rest is for input, layout and the stream
const PAUSE_MS = 100; // between two frames of one chart: live points come at most ten times a second
const REST = 3; // after live points were drawn, this many times as long nothing is: a quarter of the time at most

/** Draws what was requested, in turn. `now` and `frame` are those of the page; tests bring their own. */
export class Scheduler {
  private readonly waiting = new Set<Drawable>();
  private readonly urgent = new Set<Drawable>();
  private readonly drawnAt = new WeakMap<Drawable, number>();
  private restUntil = 0;
  private isScheduled = false;

  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly frame: (callback: () => void) => void = (callback) => requestAnimationFrame(callback),
  ) {}

  /** Draw it in a coming frame. At once means in the next ones, as an answer to a person. */
  request(drawable: Drawable, { atOnce = false } = {}): void {
    (atOnce ? this.urgent : this.waiting).add(drawable);
    this.schedule();
  }

  /** Forget it: it left the page or the part of it that is seen. */
  cancel(drawable: Drawable): void {
    this.waiting.delete(drawable);
    this.urgent.delete(drawable);
  }

  private schedule(): void {
    if (this.isScheduled || !(this.waiting.size || this.urgent.size)) return;
    this.isScheduled = true;
    this.frame(() => this.run());
  }

  private run(): void {
    this.isScheduled = false;
    const began = this.now();
    for (const drawable of [...this.urgent, ...this.waiting]) {
      const isUrgent = this.urgent.has(drawable);
      const since = began - (this.drawnAt.get(drawable) ?? -Infinity);
      if (!isUrgent && (since < PAUSE_MS || this.now() < this.restUntil)) continue;
      this.cancel(drawable);
      this.drawnAt.set(drawable, began);
      const before = this.now();
      drawable.draw();
      const after = this.now();
      if (!isUrgent) this.restUntil = after + REST * (after - before);
      if (after - began > BUDGET_MS) break;
    }
    this.schedule();
  }
}

/** The scheduler of this page. Browsers call no frames of a hidden page, so it rests then. */
export const scheduler = new Scheduler();
