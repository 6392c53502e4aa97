import { describe, expect, it } from "vitest";
import { conditionText } from "./condition";
import { KINDS, entryOf, listOf, momentPage, newRule, numberOf, problemOf, seriesOf, startOfLine, withField, withKind } from "./rule";

describe("a rule that is written in the form", () => {
  it("has the fields of its kind alone", () => {
    const spike = withField(withKind(newRule(), "spike"), "score", 8);
    const failed = withKind(spike, "run_ended");

    expect(entryOf(spike)).toEqual({ id: "", name: "", description: "", enabled: true, severity: "warning", series: { name: "loss" }, when: { kind: "spike", score: 8 } });
    expect(entryOf(failed)).toEqual({ id: "", name: "", description: "", enabled: true, severity: "warning", when: { kind: "run_ended" } });
    expect(withField(spike, "score", undefined).body.when).toEqual({ kind: "spike" });
  });

  it("says each kind as a sentence", () => {
    for (const kind of Object.keys(KINDS)) expect(conditionText(withKind(newRule(), kind).body)).not.toContain("undefined");
    expect(conditionText({ series: null, when: { kind: "threshold", op: ">", value: 1, for_points: 1, for_s: 0 } })).toBe("a value is > 1");
    expect(conditionText({ series: { name: null, prefix: "train/", regex: null }, when: { kind: "nan" } })).toBe("train/…: a value is NaN or infinite");
  });

  it("reads numbers, and leaves to the API what is none", () => {
    expect([" 1e-3 ", "", "much", "1e999", "-.5"].map(numberOf)).toEqual([0.001, undefined, "much", "1e999", -0.5]);
    expect(listOf(" a, b,,")).toEqual(["a", "b"]);
    expect(seriesOf({ ...newRule(), body: { series: { name: null, regex: "x$" } } })).toEqual(["regex", "x$"]);
    expect(seriesOf({ ...newRule(), body: {} })).toEqual(["all", ""]);
  });
});

describe("what is wrong", () => {
  const problems = [{ field: "to.0", message: "no", line: 2, column: 1 }, { field: "when.value", message: "text", line: 3, column: 4 }];

  it("stands at its field", () => {
    expect([problemOf(problems, "to"), problemOf(problems, "when.value"), problemOf(problems, "name")]).toEqual(["no", "text", ""]);
  });

  it("stands at its line", () => {
    expect([startOfLine("a\nbc\nd", 2), startOfLine("a\nbc\nd", 2, 2), startOfLine("a\nbc", 9), startOfLine("", 0)]).toEqual([2, 3, 4, 0]);
  });
});

it("a firing leads to its moment, and one without a point to its run", () => {
  expect(momentPage("/runs/a", "val/loss{rank=1}", 1000)).toBe("/runs/a?full=val%2Floss&zoom=900..1100");
  expect(momentPage("/runs/a", "loss", 0)).toBe("/runs/a?full=loss&zoom=-50..50");
  expect(momentPage("/runs/a", "", null)).toBe("/runs/a");
});
