import { describe, expect, it } from "vitest";
import { nearest, processClock, valueAt, xColumn } from "./axes";
import { bandOf } from "./bands";
import { Points } from "./points";
import { extent, fences, forward, logTicks, symlogTicks } from "./scales";
import { ema, gaussian, smooth } from "./smoothing";

const line = (...values: number[]) => ({ xs: values.map((_, i) => i), ys: values });

describe("smoothing", () => {
  const xs = [0, 1, 2, 2.5, 2.6, 40, 100];
  const ys = [5, 1, 4, NaN, 2, 8, 3];

  it("is the weighted mean of the definition", () => {
    const weight = Math.sqrt(0.9);
    const smoothed = ema(xs, ys, 0.9);
    for (const i of [0, 1, 2, 4, 5, 6]) {
      let [sum, weights] = [0, 0];
      for (let j = 0; j <= i; j += 1) {
        if (Number.isNaN(ys[j])) continue;
        const part = weight ** (((xs[i]! - xs[j]!) / 100) * 1_000);
        sum += part * ys[j]!;
        weights += part;
      }
      expect(smoothed[i]).toBeCloseTo(sum / weights, 12);
    }
    expect(smoothed[3]).toBeNaN();
  });

  it("leaves a constant, and starts without bias", () => {
    expect([...ema([0, 5, 9], [4, 4, 4], 0.99)]).toEqual([4, 4, 4]);
    expect(ema(xs, ys, 0.99)[0]).toBe(5);
    for (const value of gaussian([0, 5, 9], [4, 4, 4], 1)) expect(value).toBeCloseTo(4, 12);
  });

  it("depends on distances relative to the width, not on their unit", () => {
    const wide = ema(xs.map((x) => x * 3_600), ys, 0.7);
    ema(xs, ys, 0.7).forEach((value, i) => (Number.isNaN(value) ? null : expect(wide[i]).toBeCloseTo(value, 9)));
  });

  it("gives a Gaussian mean of the neighbours and keeps gaps", () => {
    const many = Float64Array.from({ length: 501 }, (_, i) => i);
    const spike = many.map((i) => (i === 250 ? 1 : 0));
    const smoothed = gaussian(many, spike, 1); // a deviation of 2 % of 500 = 10
    expect(smoothed[250]).toBeCloseTo(1 / (10 * Math.sqrt(2 * Math.PI)), 3);
    expect(smoothed[240]! / smoothed[250]!).toBeCloseTo(Math.exp(-0.5), 2);
    expect(smoothed[281]).toBe(0);
    expect(gaussian([0, 1, 2], [1, NaN, 3], 1)[1]).toBeNaN();
  });

  it("does nothing when asked for nothing", () => {
    expect(smooth("none", 0.9, [0], [1])).toBeNull();
    expect(smooth("ema", 0, [0], [1])).toBeNull();
  });
});

describe("scales", () => {
  it("clips what Tukey calls far out, says how many, and leaves other lines whole", () => {
    const quiet = Array.from({ length: 99 }, (_, i) => i / 99);
    expect(extent([line(...quiet, 1_000)], "linear", { clip: true })).toMatchObject({ outside: 1 });
    expect(extent([line(...quiet, 1_000)], "linear", { clip: true }).max).toBeLessThan(2);
    expect(extent([line(...quiet, 1_000)], "linear").max).toBeGreaterThan(1_000);
    expect(extent([line(...quiet)], "linear", { clip: true }).outside).toBe(0);
    expect(fences([[1, 1, 1, 1, 9]])).toBeNull();
  });

  it("counts what a logarithm cannot show", () => {
    expect(extent([line(-1, 0, 1, 100)], "log")).toMatchObject({ hidden: 2, outside: 0 });
    expect(extent([line(-1, 0, 1, 100)], "symlog").hidden).toBe(0);
    expect(forward("symlog", 1)(-5)).toBeCloseTo(-Math.asinh(5), 12);
  });

  it("have ticks wherever they begin and end", () => {
    expect(logTicks(0.75, 1.6)).toEqual([0.8, 1, 1.2, 1.4, 1.6]);
    expect(logTicks(0.04, 3)).toEqual([0.05, 0.1, 0.2, 0.5, 1, 2]);
    expect(logTicks(1e-9, 1)).toEqual([1e-9, 1e-7, 1e-5, 1e-3, 0.1]);
    expect(symlogTicks(-20, 300, 1)).toEqual([-10, -1, 0, 1, 10, 100]);
    expect(symlogTicks(5, 6, 0.01)).toEqual([5, 5.2, 5.4, 5.6, 5.8, 6]);
    expect(logTicks(-1, 1)).toEqual([]);
  });

  it("looks at the window only, and has a range for nothing and for one value", () => {
    expect(extent([line(1, 2, 50)], "linear", { window: [0, 1] }).max).toBeLessThan(3);
    expect(extent([], "linear")).toMatchObject({ min: 0, max: 1 });
    const one = extent([line(7)], "linear");
    expect(one.min).toBeLessThan(7);
    expect(one.max).toBeGreaterThan(7);
  });
});

describe("x axes", () => {
  const points = Points.of({ steps: [1, 2, 3], times: [10e6, 20e6, 90e6], values: [1, 2, 3] });
  const run = { began: 10e6, attempts: [{ began: 10e6, ended: 25e6 }, { began: 85e6, ended: null }] };

  it("knows steps, times, relative times and process times", () => {
    expect([...xColumn("step", points, run)]).toEqual([1, 2, 3]);
    expect([...xColumn("time", points, run)]).toEqual([10, 20, 90]);
    expect([...xColumn("relative", points, run)]).toEqual([0, 10, 80]);
    expect([...xColumn("process", points, run)]).toEqual([0, 10, 20]);
    expect(processClock({ began: 5e6, attempts: [] })(7e6)).toBe(2);
    expect(processClock(run)(50e6)).toBe(15);
  });

  it("joins a metric by step, between its points linearly", () => {
    const epoch = Points.of({ steps: [1, 3], times: [0, 0], values: [10, 30] });
    expect([...xColumn("metric:epoch", points, run, epoch)]).toEqual([10, 20, 30]);
    expect(valueAt(epoch, 4)).toBeNaN();
    expect(valueAt(epoch, 0)).toBeNaN();
  });

  it("finds the nearest point", () => {
    expect([nearest([], 1), nearest([1, 5, 9], 6), nearest([1, 5, 9], 7.5), nearest([1, 5, 9], -3)]).toEqual([-1, 1, 2, 0]);
  });
});

describe("bands", () => {
  it("puts deviations around the centre and takes other edges as they are", () => {
    const group = {
      series: "loss", steps: [0, 1], count: [3, 1], mean: [2, "NaN"], median: [1, 4], std: [0.5, null], stderr: [0.25, null],
      min: [0, 4], max: [5, 4], ci95_low: [1.5, 4], ci95_high: [2.5, 4],
    } as const;
    expect([...bandOf(group, "mean", "std").low!]).toEqual([1.5, NaN]);
    expect([...bandOf(group, "median", "stderr").high!]).toEqual([1.25, 4]);
    expect([...bandOf(group, "mean", "minmax").high!]).toEqual([5, 4]);
    expect([...bandOf(group, "mean", "ci95").low!]).toEqual([1.5, 4]);
    expect(bandOf(group, "mean", "none").low).toBeNull();
  });
});
