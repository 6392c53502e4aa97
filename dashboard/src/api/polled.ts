/** An answer that is asked for again and again while the page is seen: for what the stream says nothing of. */
import { useEffect, useState } from "preact/hooks";
import { ask } from "./client";
import { isAborted } from "./errors";

export interface Polled<T> {
  answer: T | null;
  error: unknown;
  /** ms since 1970-01-01 UTC of the newest answer. */
  at: number;
  again: () => void;
}

/** Ask for `path` now and every `everyMs`. The last answer stays while a later question fails. */
export function usePolled<T>(path: string, everyMs: number): Polled<T> {
  const [state, setState] = useState<{ answer: T | null; error: unknown; at: number }>({ answer: null, error: null, at: 0 });
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (): void => {
      clearTimeout(timer);
      if (document.hidden) return;
      ask<T>(path, { signal: stop.signal, retry: false }).then(
        (answer) => {
          setState({ answer, error: null, at: Date.now() });
          timer = setTimeout(look, everyMs);
        },
        (error) => {
          if (isAborted(error) || stop.signal.aborted) return;
          setState((before) => ({ ...before, error }));
          timer = setTimeout(look, everyMs);
        },
      );
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [path, everyMs, asked]);
  return { ...state, again: () => setAsked((count) => count + 1) };
}
