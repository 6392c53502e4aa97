/**
 * The address of the page as state: what a page shows is read from it, so every state has a link.
 *
 * A `field` is a signal whose value lives in the query part. Setting it adds an entry to the browser's history, so back
 * and forward, and `undo` and `redo`, go through the states of a page. `replace` is for values that change while a hand
 * moves (typing, dragging): the states between are no entries.
 */
import { batch, computed, signal, untracked } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import type { Codec } from "./codecs";

interface Entry {
  at: number; // number of this entry since the page was loaded
}

const here = signal(readLocation());
const shown = computed(() => new URL(here.value, "http://page.invalid"));

/** The path, percent-encoded as the browser gives it. */
export const path: ReadonlySignal<string> = computed(() => shown.value.pathname);
/** The query part; never change it in place. */
export const query: ReadonlySignal<URLSearchParams> = computed(() => shown.value.searchParams);

let at = 0;
let newest = 0;
const paths = new Map<number, string>(); // path of each entry that this page made

function readLocation(): string {
  return location.pathname + location.search;
}

/** Begin to follow the browser's back and forward; call it once. Returns what ends it. */
export function startAddress(): () => void {
  const old = history.state as Entry | null;
  at = typeof old?.at === "number" ? old.at : 0;
  newest = at;
  history.replaceState({ at } satisfies Entry, "");
  paths.set(at, location.pathname);
  here.value = readLocation();
  const follow = (event: PopStateEvent): void => {
    at = typeof (event.state as Entry | null)?.at === "number" ? (event.state as Entry).at : at;
    newest = Math.max(newest, at);
    paths.set(at, location.pathname);
    here.value = readLocation();
  };
  addEventListener("popstate", follow);
  return () => removeEventListener("popstate", follow);
}

/** Show another address of this application. The same address again changes nothing. */
export function go(href: string, { replace = false } = {}): void {
  const url = new URL(href, location.href);
  const target = url.pathname + url.search;
  if (target === untracked(() => here.value)) return;
  if (!replace) {
    at += 1;
    newest = at;
  }
  const change = replace ? history.replaceState : history.pushState;
  change.call(history, { at } satisfies Entry, "", target);
  paths.set(at, url.pathname);
  here.value = target;
}

/** Go back to the state of this page before the last change. False: there is none. */
export function undo(): boolean {
  if (paths.get(at - 1) !== location.pathname) return false;
  history.back();
  return true;
}

/** Take the last `undo` back. False: there is none. */
export function redo(): boolean {
  if (at >= newest || paths.get(at + 1) !== location.pathname) return false;
  history.forward();
  return true;
}

/** A value in the query part of the address. */
export interface Field<T> {
  readonly name: string;
  /** Reading subscribes like a signal; setting adds an entry to the history. */
  value: T;
  /** Read without subscribing. */
  peek(): T;
  /** Set without an entry of its own in the history. */
  replace(value: T): void;
  /** How the value is written, for a link; null for the default. */
  written(value: T): [name: string, text: string | null];
}

/** Return the field `name` of the query part. Ask for each name once, at the top of a module. */
export function field<T>(name: string, codec: Codec<T>): Field<T> {
  const found = computed(() => query.value.get(name));
  const value = computed(() => codec.read(found.value));
  const set = (next: T, replace: boolean): void => go(linkTo(path.peek(), [[name, codec.write(next)]], query.peek()), { replace });
  return {
    name,
    get value() {
      return value.value;
    },
    set value(next: T) {
      set(next, false);
    },
    peek: () => value.peek(),
    replace: (next) => set(next, true),
    written: (next) => [name, codec.write(next)],
  };
}

/** Return an address with these values in its query part, null for none; others are taken from `from`. */
export function linkTo(
  pathname: string,
  values: Iterable<readonly [name: string, text: string | null]> = [],
  from: URLSearchParams = new URLSearchParams(),
): string {
  const params = new URLSearchParams(from);
  for (const [name, text] of values) {
    if (text === null) params.delete(name);
    else params.set(name, text);
  }
  const written = params.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%2F", "/");
  return written === "" ? pathname : `${pathname}?${written}`;
}

/** Set several fields as one entry of the history. */
export function change(values: Iterable<readonly [name: string, text: string | null]>, { replace = false } = {}): void {
  batch(() => go(linkTo(path.peek(), values, query.peek()), { replace }));
}

/** The address of a run's page. */
export function runPage(runId: string): string {
  return `/runs/${encodeURIComponent(runId)}`;
}
