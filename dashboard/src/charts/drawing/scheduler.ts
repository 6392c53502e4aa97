// One loop of frames for all charts of a page: each draws when the frame has time left, none while the page is hidden.

/** What draws; called once for each request. */
export interface Drawable {
  draw(): void;
}

const BUDGET_MS = 6; // of a frame of 16 ms: the rest is for input, layout and the stream
const PAUSE_MS = 100; // between two frames of one chart: live points come at most ten times a second

/** Draws what was requested, in turn. `now` and `frame` are those of the page; tests bring their own. */
export class Scheduler {
  private readonly waiting = new Set<Drawable>();
  private readonly drawnAt = new WeakMap<Drawable, number>();
  private isScheduled = false;
  /** Time that the last frame took, ms: what the page shows in its corner. */
  lastMs = 0;

  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly frame: (callback: () => void) => void = (callback) => requestAnimationFrame(callback),
  ) {}

  /** Draw it in a coming frame; at once means: without the pause, as an answer to a person. */
  request(drawable: Drawable, { atOnce = false } = {}): void {
    if (atOnce) this.drawnAt.delete(drawable);
    this.waiting.add(drawable);
    this.schedule();
  }

  /** Forget it: it left the page or the part of it that is seen. */
  cancel(drawable: Drawable): void {
    this.waiting.delete(drawable);
  }

  private schedule(): void {
    if (this.isScheduled || !this.waiting.size) return;
    this.isScheduled = true;
    this.frame(() => this.run());
  }

  private run(): void {
    this.isScheduled = false;
    const began = this.now();
    for (const drawable of [...this.waiting]) {
      if (began - (this.drawnAt.get(drawable) ?? -Infinity) < PAUSE_MS) continue;
      this.waiting.delete(drawable);
      this.drawnAt.set(drawable, began);
      drawable.draw();
      this.lastMs = this.now() - began;
      if (this.lastMs > BUDGET_MS) break;
    }
    this.schedule();
  }
}

/** The scheduler of this page. Browsers call no frames of a hidden page, so it rests then. */
export const scheduler = new Scheduler();
