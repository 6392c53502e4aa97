import { expect, test } from "vitest";
import { conditionText } from "../alerts/condition";
import { ago, duration, plural, value } from "../components/text";
import { consumers, lagVerdict, trackerVerdict } from "../system/health";
import type { Delivery } from "../system/health";
import { completeness, flatSteps, logTime } from "./log";

const producer = { producer: "p", received: 4, expected: 4, missing: [] as [number, number][], refused_duplicates: 0, dropped_points: 0, author: "" };

test("completeness says what is missing, dropped, or still to come", () => {
  expect(completeness([producer])).toMatchObject({ tone: "good", text: "4 of 4 records received, 0 missing, 0 duplicates refused, from 1 producer" });
  expect(completeness([{ ...producer, expected: null }])).toMatchObject({ tone: "busy", word: "Receiving" });
  expect(completeness([{ ...producer, received: 2, missing: [[1, 2]] }])).toMatchObject({ tone: "bad", word: "Incomplete", text: expect.stringContaining("2 missing") });
  expect(completeness([{ ...producer, dropped_points: 1 }])).toMatchObject({ tone: "bad", word: "Points dropped" });
});

test("steps of branches follow their step", () => {
  const step = (name: string, branches = {}): never => ({ name, internal_name: name, status: "SUCCESS", step_type: "task", message: "", attempts: [], branches }) as never;
  const steps = { a: step("a", { b: { internal_name: "b", status: "SUCCESS", steps: { c: step("c") } } }), d: step("d") };
  expect(flatSteps(steps).map(({ step: { name }, depth }) => `${name}${depth}`)).toEqual(["a0", "c1", "d0"]);
  expect(logTime("2026-11-21 08:26:02.500000")).toBe(Date.UTC(2026, 10, 21, 8, 26, 2, 500) * 1000);
});

test("numbers and times are short", () => {
  expect([value(0.1 + 0.2), value(1e-7), value(123456), value("NaN"), value(null), value([1, "a"])]).toEqual(["0.3", "1e-7", "123,456", "NaN", "", '[1,"a"]']);
  expect([duration(340_000), duration(12e6), duration(200e6), duration(3e11)]).toEqual(["340 ms", "12 s", "3 min 20 s", "3 d 11 h"]);
  expect([ago(0, 5_000), ago(0, 7_200_000), plural(1, "run"), plural(0, "run")]).toEqual(["just now", "2 h ago", "1 run", "0 runs"]);
});

test("up to date is said only of what runs and lacks nothing", () => {
  const tracker: Delivery = { tracker: "mlflow", runs: 3, parked: 0, last_error: "", state: "running", follows: true, paused: false, waiting: 0, behind: 0, in_doubt: 0, circuit_since: null, retry_at: null };
  expect(trackerVerdict(tracker, 0)).toMatchObject({ tone: "good", text: "up to date" });
  expect(trackerVerdict({ ...tracker, parked: 2, last_error: "why" }, 0)).toMatchObject({ tone: "bad", next: "why" });
  expect(trackerVerdict({ ...tracker, state: "stopped" }, null)).toMatchObject({ tone: "warn", text: "stopped, lag unknown" });
  expect(trackerVerdict({ ...tracker, state: "circuit open" }, 0)).toMatchObject({ tone: "bad" });
  expect([lagVerdict(null).tone, lagVerdict(7).tone, lagVerdict(900).tone]).toEqual(["warn", "good", "busy"]);
  const lag = (partition: number, behind: number | null): never => ({ consumer: "materialiser", partition, offset: 1, end: 2, lag: behind }) as never;
  expect(consumers([lag(0, 1), lag(1, 2)])[0]?.lag).toBe(3);
  expect(consumers([lag(0, 1), lag(1, null)])[0]?.lag).toBe(null);
});

test("rules of alerts are sentences", () => {
  expect(conditionText({ series: { regex: "loss$" }, when: { kind: "threshold", op: ">", value: 10, for_points: 3 } })).toBe("/loss$/: a value is > 10 3 times in a row");
  expect(conditionText({ when: { kind: "run_ended", states: ["failed"] } })).toBe("the run is failed");
  expect(conditionText({ when: { kind: "of a newer release" } })).toBe("of a newer release");
  expect(conditionText(null)).toBe("");
});
