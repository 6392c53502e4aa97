/** How much a value differs from that of the baseline, and whether that is better, where code said what is. */
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { value as valueText } from "./text";

/** Which values of a metric are better; "": nobody said. */
export type Goal = "min" | "max" | "";

/** Return the change against a base in %; null where there is none to speak of. */
export function deltaOf(value: unknown, base: unknown): number | null {
  if (typeof value !== "number" || typeof base !== "number" || base === 0) return null;
  return ((value - base) / Math.abs(base)) * 100;
}

/** Return the change as text: "+12.5 %", "×31" where per cents say nothing any more, "" for none. */
export function deltaText(value: unknown, base: unknown): string {
  const delta = deltaOf(value, base);
  if (delta === null || delta === 0) return "";
  const size = Math.abs(delta);
  if (size >= 1_000) return `×${valueText(Number(value) / Number(base), 2)}`;
  return `${delta > 0 ? "+" : "−"}${Number(size.toPrecision(3))} %`;
}

/** Return whether a change is "better" or "worse"; "" where nobody said, or nothing changed. */
export function verdict(value: unknown, base: unknown, goal: Goal): "better" | "worse" | "" {
  const delta = deltaOf(value, base);
  if (!delta || !goal) return "";
  return delta < 0 === (goal === "min") ? "better" : "worse";
}

export function Delta({ value, base, goal = "" }: { value: unknown; base: unknown; goal?: Goal | undefined }) {
  const text = deltaText(value, base);
  if (text === "") return null;
  const found = verdict(value, base, goal);
  const title = found && `${found} than the baseline: ${goal === "min" ? "low" : "high"} values are the goal`;
  return <span class={`delta ${found}`} title={title}>{text}</span>;
}

interface SeriesAnswer {
  series: { series: string; goal: Goal }[];
}

const NOTHING: ReadonlyMap<string, Goal> = new Map();
const MOST_NAMES = 300;

/** Return the goals that the code of a run gave to metrics, by name. */
export function useGoals(run: string, names: readonly string[]): ReadonlyMap<string, Goal> {
  const [goals, setGoals] = useState(NOTHING);
  const wanted = [...new Set(names)].sort().slice(0, MOST_NAMES);
  useEffect(() => {
    if (run === "" || !wanted.length) return setGoals(NOTHING);
    const stop = new AbortController();
    ask<SeriesAnswer>("/v1/series", { body: { runs: [run], names: wanted, buckets: 1 }, signal: stop.signal, retry: false }).then(
      (answer) => setGoals(new Map(answer.series.map((one) => [one.series, one.goal]))),
      () => undefined, // changes are shown without a verdict
    );
    return () => stop.abort();
  }, [run, wanted.join("\n")]);
  return goals;
}
