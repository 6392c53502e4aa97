import { describe, expect, it } from "vitest";
import { DEFAULTS, effective, range, smoothing, tooltip, xAxis } from "./settings";

describe("settings in the address", () => {
  it("are read as they are written, and what means nothing is the default", () => {
    expect(range.read(range.write([-0.5, 1e6]))).toEqual([-0.5, 1e6]);
    expect([range.read("5..1"), range.read("..3"), range.read("x"), range.read(null)]).toEqual([null, null, null, null]);
    expect(smoothing.read(smoothing.write({ kind: "ema", amount: 0.93 }))).toEqual({ kind: "ema", amount: 0.93 });
    expect(smoothing.read("ema:7").kind).toBe("none");
    expect(tooltip.read(tooltip.write({ order: "near", rows: 6 }))).toEqual({ order: "near", rows: 6 });
    expect([tooltip.read("near:0"), tooltip.read("x:5"), tooltip.read(tooltip.write(DEFAULTS.tooltip))]).toEqual(Array(3).fill(DEFAULTS.tooltip));
    expect([xAxis.read("time"), xAxis.read("metric:a/b"), xAxis.read("metric:"), xAxis.read("other")]).toEqual(["time", "metric:a/b", "step", "step"]);
  });

  it("of one panel win, and another axis has no zoom of the page", () => {
    const zoomed = { ...DEFAULTS, zoomX: [1, 2] as const };
    expect(effective(zoomed, { yScale: "log" })).toMatchObject({ yScale: "log", zoomX: [1, 2] });
    expect(effective(zoomed, { x: "time" })).toMatchObject({ x: "time", zoomX: null });
    expect(effective(zoomed, undefined)).toBe(zoomed);
  });

  it("take the x axis that code gives instead of steps, unless a person chose one", () => {
    const zoomed = { ...DEFAULTS, zoomX: [1, 2] as const };
    expect(effective(zoomed, undefined, "epoch")).toMatchObject({ x: "metric:epoch", zoomX: null });
    expect(effective(zoomed, { x: "step" }, "epoch")).toMatchObject({ x: "step", zoomX: [1, 2] });
    expect(effective({ ...zoomed, x: "time" }, { clip: true }, "epoch")).toMatchObject({ x: "time", clip: true, zoomX: [1, 2] });
  });
});
