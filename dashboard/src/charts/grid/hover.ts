// What the pointer or the keyboard is on: shared by all charts and the list of runs.
import { signal } from "@preact/signals";

/** Run or group whose lines stand out everywhere. */
export const hovered = signal<string | null>(null);
/** The panel that keys act on. */
export const active = signal<string | null>(null);
