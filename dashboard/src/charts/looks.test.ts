import { describe, expect, it } from "vitest";
import { COLOURS, colourOf, dashOf } from "./colours";
import { duration, moment, number, tick } from "./format";

function luminance(colour: string): number {
  const parts = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high! + 0.05) / (low! + 0.05);
}

describe("colours", () => {
  it("are stable, used evenly, and can be chosen", () => {
    expect(colourOf("run-7", "dark")).toBe(colourOf("run-7", "dark"));
    const used = new Map<string, number>();
    for (let i = 0; i < 8_000; i += 1) {
      const look = colourOf(`run-${i}`, "light") + String(dashOf(`run-${i}`));
      used.set(look, (used.get(look) ?? 0) + 1);
    }
    expect(used.size).toBe(COLOURS * 3);
    expect(Math.min(...used.values())).toBeGreaterThan(200);
    expect(colourOf("x", "dark", "0")).toBe("#56b4e9");
    expect(colourOf("x", "dark", "#123456")).toBe("#123456");
  });

  it("stand out from their background", () => {
    for (let hue = 0; hue < COLOURS; hue += 1) {
      expect(contrast(colourOf("", "dark", String(hue)), "#1b1e26")).toBeGreaterThan(3);
      expect(contrast(colourOf("", "light", String(hue)), "#ffffff")).toBeGreaterThan(3);
    }
  });
});

describe("text", () => {
  it("says numbers shortly and exactly enough", () => {
    expect([0, 0.1 + 0.2, 1234.5678, 1_234, 1e9, 1.5e-7, NaN, -Infinity].map((value) => number(value))).toEqual([
      "0", "0.3", "1234.6", "1,234", "1e9", "1.5e-7", "NaN", "−∞",
    ]);
    expect([12_000, 3_500_000, 0.25, 100].map(tick)).toEqual(["12k", "3.5M", "0.25", "100"]);
  });

  it("says times", () => {
    expect([1.5, 185, 7_380, 352_800].map(duration)).toEqual(["1.5 s", "3:05 min", "2 h 03 min", "4 d 02 h"]);
    expect(moment(1e6 * 1_700_000_000)).toMatch(/^2023-11-1[45] \d\d:\d\d:20\.000$/);
  });
});
