import { describe, expect, it } from "vitest";
import { Points } from "../maths/points";
import { processClock, sinceBegin, stepsBetween } from "../maths/axes";
import { DEFAULTS } from "./settings";
import { rangeOf } from "./window";

const S = 1e6;
const resumed = { began: 0, attempts: [{ began: 0, ended: 10 * S }, { began: 100 * S, ended: 130 * S }, { began: 200 * S, ended: null }] };
const points = (values: number[]) => Points.of({ steps: Float64Array.from(values.keys()), times: new Float64Array(values.length), values: Float64Array.from(values) });

describe("what a zoom reads", () => {
  it("by process time is the time since the start that holds it", () => {
    for (const ran of [0, 3, 9.5, 10.5, 39, 41, 100]) expect(processClock(resumed)(sinceBegin(resumed, ran) * S)).toBeCloseTo(ran);
    const runs = [{ id: "a", name: "a", ...resumed }, { id: "b", name: "b", began: 0, attempts: [] }];
    const window = rangeOf({ ...DEFAULTS, x: "process", zoomX: [5, 20] }, runs, () => undefined);
    expect(window).toEqual({ axis: "relative", from: 5 * S, to: 110 * S });
  });

  it("by a metric is the steps at which it has such values, also between two points", () => {
    expect(stepsBetween(points([0, 1, 2, 3, 2, 1, 0]), 1.5, 2.5)).toEqual([1, 5]);
    expect(stepsBetween(points([0, 10]), 4, 5)).toEqual([0, 1]);
    expect(stepsBetween(points([0, 1]), 4, 5)).toBeNull();
    const runs = ["a", "b", "c"].map((id) => ({ id, name: id, began: 0, attempts: [] }));
    const series: Record<string, Points> = { a: points([0, 1, 2, 3]), b: points([3, 2, 2, 2]) };
    const zoomed = { ...DEFAULTS, x: "metric:epoch" as const, zoomX: [2.5, 3] as const };
    expect(rangeOf(zoomed, runs, (run) => series[run])).toEqual({ axis: "step", from: 0, to: 3 });
    expect(rangeOf(zoomed, runs, () => undefined)).toBeNull();
  });
});
