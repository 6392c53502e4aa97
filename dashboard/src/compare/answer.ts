// An answer of the API as state of a component: asked again when the question changes, the last one wins.
import { signal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ask } from "../api/client";

export interface Answer<T> {
  value: Signal<T | null>;
  problem: Signal<unknown>;
}

/** Ask `path` with a JSON body; a null body asks nothing. Another `round` asks the same again. */
export function useAnswer<T>(path: string, body: object | null, round = 0): Answer<T> {
  const answer = useMemo(() => ({ value: signal<T | null>(null), problem: signal<unknown>(null) }), []);
  const written = body && JSON.stringify(body);
  useEffect(() => {
    if (written === null) return undefined;
    const stop = new AbortController();
    ask<T>(path, { body: JSON.parse(written) as object, signal: stop.signal }).then(
      (value) => {
        answer.problem.value = null;
        answer.value.value = value;
      },
      (error: unknown) => stop.signal.aborted || (answer.problem.value = error),
    );
    return () => stop.abort();
  }, [path, written, round]);
  return answer;
}
