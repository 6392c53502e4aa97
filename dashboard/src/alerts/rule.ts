/** A rule while it is written: its fields, and how a form shows them. Pure; docs/alerts.md has the language. */
import { panelOf } from "../charts/data/names";

/** A rule as the API checks it: every field of one in a file. */
export interface RuleFields {
  id: string;
  name: string;
  description: string;
  enabled: boolean;
  body: RuleBody;
}

/** What a rule says: the body of its collection. */
export interface RuleBody {
  where?: string;
  series?: SeriesChoice | null;
  when?: When;
  to?: readonly string[];
  severity?: string;
  cooldown_s?: unknown;
}

export interface SeriesChoice {
  name?: string | null;
  prefix?: string | null;
  regex?: string | null;
}

export type When = { kind?: string } & { readonly [field: string]: unknown };

/** What is wrong with a rule, as the API says it. */
export interface RuleProblem {
  field: string;
  message: string;
  line: number;
  column: number;
}

/** An input for a field of a condition. */
export interface Input {
  name: string;
  label: string;
  type: "number" | "choice" | "flag" | "list";
  /** Of a choice or list. */
  words?: readonly string[];
  /** What an empty input means, in words. */
  otherwise?: string;
}

/** What a condition is called in the form, and its inputs. */
export interface Kind {
  title: string;
  inputs: readonly Input[];
  /** What a new rule of this kind says. */
  first: Readonly<Record<string, unknown>>;
  /** Whether it is about runs, and has no series. */
  ofRuns?: boolean;
}

const num = (name: string, label: string, otherwise = ""): Input => ({ name, label, type: "number", otherwise });
const one = (name: string, label: string, words: readonly string[]): Input => ({ name, label, type: "choice", words });

export const KINDS: Readonly<Record<string, Kind>> = {
  threshold: {
    title: "a value is beyond a bound",
    first: { op: ">", value: 10 },
    inputs: [
      one("op", "comparison", [">", ">=", "<", "<=", "=", "!="]), num("value", "bound"), one("of", "of", ["value", "last", "mean"]),
      num("points", "points of the mean", "1"), num("for_points", "points in a row", "1"), num("for_s", "for, s", "0"),
    ],
  },
  nan: { title: "a value is NaN or infinite", first: {}, inputs: [{ name: "infinite", label: "infinite values too", type: "flag" }] },
  no_news: { title: "nothing is sent", first: { seconds: 300 }, inputs: [num("seconds", "for, s")] },
  stalled: {
    title: "no value is better",
    first: { goal: "min", steps: 1000 },
    inputs: [one("goal", "goal", ["min", "max"]), num("steps", "within steps", "use seconds"), num("seconds", "within, s", "use steps"), num("min_change", "better by more than", "0")],
  },
  spike: {
    title: "a value is far from those before",
    first: {},
    inputs: [num("score", "robust z-score", "6"), num("window", "window, points", "50"), num("min_points", "points before it judges", "10"), one("direction", "direction", ["both", "up", "down"])],
  },
  run_ended: {
    title: "a run fails or is lost",
    first: {},
    ofRuns: true,
    inputs: [{ name: "states", label: "states", type: "list", words: ["failed", "killed", "lost", "finished"], otherwise: "failed, killed, lost" }, num("lost_after_s", "lost after silence of, s", "90")],
  },
  gpu_idle: { title: "a GPU is idle", first: {}, inputs: [num("below", "below, %", "5"), num("seconds", "for, s", "600")] },
  record_missing: { title: "records are missing", first: {}, ofRuns: true, inputs: [num("seconds", "for, s", "60")] },
};

/** Return a rule for a start. */
export function newRule(): RuleFields {
  return { id: "", name: "", description: "", enabled: true, body: { series: { name: "loss" }, when: { kind: "nan" }, severity: "warning" } };
}

/** Return the rule with another kind of condition: its fields are those of the new one. */
export function withKind(rule: RuleFields, kind: string): RuleFields {
  const known = KINDS[kind];
  const { series, ...body } = rule.body;
  return { ...rule, body: { ...body, ...(series && !known?.ofRuns && { series }), when: { kind, ...known?.first } } };
}

/** Return the rule with a field of its condition changed; undefined takes it out, so that the default counts. */
export function withField(rule: RuleFields, name: string, value: unknown): RuleFields {
  const when: Record<string, unknown> = { ...rule.body.when, [name]: value };
  if (value === undefined) delete when[name];
  return { ...rule, body: { ...rule.body, when } };
}

/** Return the rule with some of its body changed. */
export function withBody(rule: RuleFields, changed: Partial<RuleBody>): RuleFields {
  return { ...rule, body: { ...rule.body, ...changed } };
}

/** Return what is written in an input for a number: a number, text that is none (the API says so), undefined if empty. */
export function numberOf(text: string): number | string | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const found = Number(trimmed);
  return Number.isFinite(found) ? found : trimmed;
}

/** Return the words of a list that is written with commas. */
export function listOf(text: string): string[] {
  return text.split(",").map((word) => word.trim()).filter((word) => word !== "");
}

/** Return which series a rule is about: how it says so, and the text. */
export function seriesOf(rule: RuleFields): readonly [how: "all" | "name" | "prefix" | "regex", text: string] {
  for (const how of ["name", "prefix", "regex"] as const) {
    const text = rule.body.series?.[how];
    if (typeof text === "string") return [how, text];
  }
  return ["all", ""];
}

/** Return the rule as the API checks it: one object, as in a file. */
export function entryOf(rule: RuleFields): Record<string, unknown> {
  const { body, ...named } = rule;
  return { ...named, ...body };
}

/** Return the first problem of a field, or of a part of it; "" without. */
export function problemOf(problems: readonly RuleProblem[], field: string): string {
  return problems.find((problem) => problem.field === field || problem.field.startsWith(`${field}.`))?.message ?? "";
}

/** Return where a line begins in a text, counted from 1; 0 for a line that it does not have. */
export function startOfLine(text: string, line: number, column = 1): number {
  const before = text.split("\n").slice(0, Math.max(0, line - 1));
  return Math.min(text.length, before.reduce((sum, one) => sum + one.length + 1, 0) + Math.max(0, column - 1));
}

/** Return the address of the moment of a firing: the chart of its series, zoomed to the steps around its point. */
export function momentPage(runPage: string, series: string, step: number | null): string {
  if (series === "" || step === null) return runPage;
  const around = Math.max(50, Math.round(Math.abs(step) * 0.1));
  const zoom = `${step - around}..${step + around}`;
  return `${runPage}?${new URLSearchParams({ full: panelOf(series), zoom })}`;
}
