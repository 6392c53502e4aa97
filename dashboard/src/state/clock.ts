/** The time as a signal, for ages and durations that go on. */
import { signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";

const TICK_MS = 1_000;

const time = signal(Date.now());
/** ms since 1970-01-01 UTC; moves each second while the page is seen. */
export const now: ReadonlySignal<number> = time;

setInterval(() => {
  if (!document.hidden) time.value = Date.now();
}, TICK_MS);
