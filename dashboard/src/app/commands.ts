/**
 * What can be done, by whom it is offered: pages add commands while they are shown; the palette lists them, the
 * keyboard runs them, the `?` sheet explains them.
 */
import { computed, signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export interface Command {
  /** What it does, as the palette and the sheet say it. */
  label: string;
  run: () => void;
  /** Keys as `keyOf` writes them, such as "j", "shift+j", "mod+k" or "g r" (one after the other). */
  keys?: readonly string[];
  /** The sheet groups by it. */
  section?: string;
  /** Only a key: the palette does not list it. */
  keyOnly?: boolean;
}

const offered = signal<readonly (readonly Command[])[]>([]);
/** All commands; those of what was shown last come first. */
export const commands: ReadonlySignal<readonly Command[]> = computed(() => offered.value.flat());

/** Offer commands. Returns what takes them away. */
export function offer(found: readonly Command[]): () => void {
  offered.value = [found, ...offered.peek()];
  return () => {
    offered.value = offered.peek().filter((one) => one !== found);
  };
}

/** Offer commands while a component is shown; `inputs` say when they are new. */
export function useCommands(make: () => readonly Command[], inputs: readonly unknown[] = []): void {
  useEffect(() => offer(make()), inputs);
}
