/** Signals that this browser keeps: for habits such as the theme, never for what a link is to show. */
import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import type { Codec } from "./codecs";

const PREFIX = "gateway.";

/** Return a signal whose value survives a reload. Where the browser keeps nothing, it lasts as long as the page. */
export function stored<T>(name: string, codec: Codec<T>): Signal<T> {
  const key = PREFIX + name;
  const value = signal(codec.read(readItem(key)));
  let before = value.peek();
  value.subscribe((now) => {
    if (now === before) return;
    before = now;
    writeItem(key, codec.write(now));
  });
  addEventListener("storage", (event) => {
    if (event.key !== key) return;
    before = codec.read(event.newValue);
    value.value = before;
  });
  return value;
}

function readItem(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage is switched off
  }
}

function writeItem(key: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // full or switched off: the value lasts as long as the page
  }
}
