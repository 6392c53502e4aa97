/** Light or dark: what the system says, or what the person chose. */
import { computed, effect, signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { choice } from "./codecs";
import { stored } from "./stored";

export const THEMES = ["system", "light", "dark"] as const;

/** What the person chose. */
export const theme = stored("theme", choice(THEMES));
const dark = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(dark.matches);

/** What is shown: charts, whose colours no style sheet reaches, draw again when it changes. */
export const isDark: ReadonlySignal<boolean> = computed(() =>
  theme.value === "system" ? systemIsDark.value : theme.value === "dark",
);

/** Write the theme on the document, now and whenever it changes; call it before the first paint. */
export function startTheme(): void {
  dark.addEventListener("change", (event) => (systemIsDark.value = event.matches));
  effect(() => {
    document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
  });
}

/** Choose the next of the themes. */
export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.peek()) + 1) % THEMES.length] ?? "system";
}
