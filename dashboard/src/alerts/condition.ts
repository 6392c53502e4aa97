/** Rules of alerts as sentences. Pure. */

import type { RuleBody } from "./rule";

const KINDS: Readonly<Record<string, (when: Readonly<Record<string, unknown>>) => string>> = {
  threshold: (when) => {
    const of = when.of === "mean" ? `the mean of ${String(when.points ?? "")} values` : when.of === "last" ? "the last value" : "a value";
    const long = Number(when.for_points ?? 1) > 1 ? ` ${String(when.for_points)} times in a row` : when.for_s ? ` for ${String(when.for_s)} s` : "";
    return `${of} is ${String(when.op ?? ">")} ${String(when.value ?? "")}${long}`;
  },
  nan: (when) => (when.infinite === false ? "a value is NaN" : "a value is NaN or infinite"),
  no_news: (when) => `nothing was sent for ${String(when.seconds ?? "")} s`,
  stalled: (when) => `no better value within ${when.steps ? `${String(when.steps)} steps` : `${String(when.seconds ?? "")} s`}`,
  spike: (when) => `a value is ${String(when.score ?? 6)} deviations away`,
  run_ended: (when) => `the run is ${(Array.isArray(when.states) ? when.states : ["failed", "killed", "lost"]).join(", ")}`,
  gpu_idle: (when) => `a GPU is used less than ${String(when.below ?? 5)} % for ${String(when.seconds ?? 600)} s`,
  record_missing: () => "records are missing",
};

/** Return when a rule fires, as a sentence. */
export function conditionText(body: RuleBody | null): string {
  const kind = body?.when?.kind ?? "";
  const text = KINDS[kind]?.(body?.when ?? {}) ?? kind;
  const { name, prefix, regex } = body?.series ?? {};
  const series = name ?? (prefix ? `${prefix}…` : regex ? `/${regex}/` : "");
  return series ? `${series}: ${text}` : text;
}
