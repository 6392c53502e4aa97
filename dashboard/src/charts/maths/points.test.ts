import { describe, expect, it } from "vitest";
import { MOST_HELD, Points, bucketed } from "./points";

const columns = (points: [number, number, number][]) => ({
  steps: points.map((one) => one[0]),
  times: points.map((one) => one[1]),
  values: points.map((one) => one[2]),
});
const stepsOf = (points: Points) => [...points.steps.subarray(0, points.length)];

describe("Points", () => {
  it("keeps order by step and time, however points come", () => {
    const points = Points.of(columns([[3, 1, 30], [1, 1, 10]]));
    points.add(columns([[2, 9, 20], [2, 1, 19], [3, 0, 29]]));
    expect(stepsOf(points)).toEqual([1, 2, 2, 3, 3]);
    expect([...points.values.subarray(0, 5)]).toEqual([10, 19, 20, 29, 30]);
    expect(points.total).toBe(5);
    expect(points.exact).toBe(true);
  });

  it("never loses a spike, although it stays small", () => {
    const points = new Points();
    for (let start = 0; start < 1_000_000; start += 1_000) {
      const steps = Array.from({ length: 1_000 }, (_, i) => start + i);
      points.add({ steps, times: steps, values: steps.map((step) => (step === 123_456 ? 99 : step === 777 ? -7 : 1)) });
    }
    expect(points.length).toBeLessThanOrEqual(MOST_HELD + 1_000);
    expect(points.total).toBe(1_000_000);
    expect(points.exact).toBe(false);
    const high = points.values.subarray(0, points.length).indexOf(99);
    expect(points.steps[high]).toBe(123_456);
    expect(points.steps[points.values.subarray(0, points.length).indexOf(-7)]).toBe(777);
    expect(stepsOf(points).at(-1)).toBe(999_999);
    expect(stepsOf(points)[0]).toBe(0);
  });

  it("marks what is not finite and adds it to the marks of the server", () => {
    const points = Points.of(columns([[1, 1, 1]]), 9, [{ step: 0, time: 0, count: 8, kinds: ["NaN"] }]);
    points.add(columns([[2, 2, NaN], [3, 3, -Infinity], [3, 4, NaN]]));
    expect(points.marks).toEqual([
      { step: 0, time: 0, count: 8, kinds: ["NaN"] },
      { step: 2, time: 2, count: 1, kinds: ["NaN"] },
      { step: 3, time: 3, count: 2, kinds: ["-Infinity", "NaN"] },
    ]);
    expect(points.exact).toBe(false);
    expect(points.total).toBe(12);
  });

  it("keeps of each bucket what a naive reading calls first, lowest, highest and last", () => {
    let seed = 7;
    const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
    const all: [number, number, number][] = Array.from({ length: 3_000 }, (_, i) => [Math.floor(random() * 500), i, random()]);
    const points = Points.of(columns(all));
    const kept = new Set(bucketed(points, 10));
    const last = points.steps[points.length - 1]!;
    const first = points.steps[0]!;
    for (let bucket = 0; bucket < 10; bucket += 1) {
      const inside = Array.from({ length: points.length }, (_, i) => i).filter(
        (i) => Math.min(9, Math.floor((points.steps[i]! - first) / ((last - first) / 10))) === bucket,
      );
      const byValue = [...inside].sort((a, b) => points.values[a]! - points.values[b]!);
      for (const index of [inside[0], inside.at(-1), byValue[0], byValue.at(-1)]) expect(kept.has(index!)).toBe(true);
    }
    expect(kept.size).toBeLessThanOrEqual(40);
  });
});
