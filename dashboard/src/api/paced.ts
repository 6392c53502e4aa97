/** Work that many events ask for, done once for each burst. */
const LEAST_WAIT_MS = 120;

/**
 * Return a function that runs `work` soon, at most once each `everyMs` (or what a call gives instead); a call while it
 * waits or runs is not lost. `stop` ends it.
 */
export function paced(work: () => Promise<void> | void, everyMs: number): { ask: (afterMs?: number) => void; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isRunning = false;
  let isOver = false;
  let wanted = Infinity; // ms after the last start at which it is to run again
  let last = -Infinity;
  const run = async (): Promise<void> => {
    isRunning = true;
    wanted = Infinity;
    last = performance.now();
    try {
      await work();
    } finally {
      isRunning = false;
      const again = wanted;
      wanted = Infinity;
      if (again < Infinity) ask(again);
    }
  };
  const ask = (afterMs = everyMs): void => {
    if (isOver || afterMs >= wanted) return;
    wanted = afterMs;
    if (isRunning) return;
    clearTimeout(timer);
    timer = setTimeout(() => void run(), Math.max(LEAST_WAIT_MS, last + afterMs - performance.now()));
  };
  return {
    ask,
    stop: () => {
      isOver = true;
      clearTimeout(timer);
    },
  };
}
