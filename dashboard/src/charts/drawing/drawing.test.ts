import { describe, expect, it } from "vitest";
import { nearestOf, readingsAt, xSpan, type Line } from "./line";
import { svg, csv } from "./picture";
import { projection, trace, visible } from "./projection";
import { Scheduler } from "./scheduler";
import { chartText } from "./as_text";
import { readingText, tooltipContent, USUAL } from "./tooltip";

function lineOf(xs: number[], ys: number[], more: Partial<Line> = {}): Line {
  return {
    key: "k", owner: "r", label: "run", colour: "#123456", dash: [], xs: Float64Array.from(xs), ys: Float64Array.from(ys), isRising: true,
    smoothed: null, band: null, marks: [], isSuperseded: false, steps: Float64Array.from(xs), times: null, ...more,
  };
}
const axis = (kind: "linear" | "log" | "symlog", min: number, max: number) => ({ kind, min, max, threshold: 1, start: 0, end: 100 });

describe("drawing", () => {
  it("puts values where uPlot puts its ticks", () => {
    expect(projection(axis("linear", 0, 10))(5)).toBe(50);
    expect(projection(axis("log", 1, 100))(10)).toBeCloseTo(50, 12);
    expect(projection(axis("log", 1, 100))(-3)).toBeNaN();
    expect(projection(axis("symlog", -10, 10))(0)).toBeCloseTo(50, 12);
  });

  it("shows one spike among a million points, in its column", () => {
    const count = 1_000_000;
    const xs = Float64Array.from({ length: count }, (_, i) => i);
    const ys = xs.map((i) => (i === 654_321 ? 1 : 0));
    const reached: [number, number][] = [];
    const pen = { moveTo: (x: number, y: number) => void reached.push([x, y]), lineTo: (x: number, y: number) => void reached.push([x, y]) };
    trace(pen, xs, ys, projection({ ...axis("linear", 0, count), end: 300 }), projection(axis("linear", 0, 1)), [0, count]);
    expect(reached.length).toBeLessThan(310);
    expect(reached.filter(([, y]) => y === 100)).toEqual([[Math.round((654_321 / count) * 300), 100]]);
  });

  it("breaks at what is not finite and dots what stands alone", () => {
    const moves: number[] = [];
    const dots: number[] = [];
    const pen = { moveTo: (x: number) => void moves.push(x), lineTo: () => {} };
    const same = (value: number) => value;
    trace(pen, Float64Array.of(0, 10, 20, 30, 40), Float64Array.of(1, 1, NaN, 1, NaN), same, same, [0, 5], (x) => void dots.push(x));
    expect(moves).toEqual([0, 30]);
    expect(dots).toEqual([30]);
    expect(visible(Float64Array.of(0, 1, 2, 3, 4, 5), 2, 3, true)).toEqual([1, 4]);
  });

  it("draws charts in turn, people first, live ones a quarter of the time", () => {
    let [now, frames] = [0, [] as (() => void)[]];
    const scheduler = new Scheduler(() => now, (callback) => frames.push(callback));
    const drawn: string[] = [];
    const chart = (name: string, cost: number) => ({ draw: () => (drawn.push(name), void (now += cost)) });
    const [a, b, c] = [chart("a", 10), chart("b", 10), chart("c", 1)];
    const frame = (at: number) => {
      now = at;
      const all = frames;
      frames = [];
      all.forEach((one) => one());
    };
    for (const one of [a, b]) scheduler.request(one);
    scheduler.request(c, { atOnce: true });
    frame(0);
    expect(drawn).toEqual(["c", "a"]); // the budget of the frame is spent
    frame(16);
    expect(drawn).toEqual(["c", "a"]); // at rest
    frame(48);
    expect(drawn).toEqual(["c", "a", "b"]);
    scheduler.request(a);
    frame(95);
    expect(drawn.length).toBe(3); // a is paused
    scheduler.cancel(a);
    frame(500);
    expect(drawn.length).toBe(3);
    expect(frames).toEqual([]); // nothing waits: no more frames
  });
});

describe("readings", () => {
  it("are sorted by value and end where lines end", () => {
    const lines = [lineOf([0, 1, 2], [1, 2, NaN], { label: "low" }), lineOf([0, 1, 2], [5, 6, 7], { label: "high" }), lineOf([0], [9], { label: "ended" })];
    expect(readingsAt(lines, 1.8, 0.5).map((one) => [one.line.label, one.raw])).toEqual([["high", 7], ["low", NaN]]);
    expect(xSpan(lines)).toEqual([0, 2]);
    expect(xSpan([lineOf([], [])])).toBeNull();
  });

  it("find the nearest point of a line that goes back", () => {
    expect(nearestOf(lineOf([5, 1, NaN, 9], [0, 0, 0, 0], { isRising: false }), 8)).toBe(3);
    expect(nearestOf(lineOf([5, 1, 9], [0, 0, 0], { isRising: false }), 2)).toBe(1);
  });

  it("limit their rows around the nearest", () => {
    const readings = readingsAt(Array.from({ length: 30 }, (_, i) => lineOf([0], [i], { label: `run ${i}` })), 0, 1);
    const pointed = { axis: "step", x: 0, readings, nearest: readings[20]!, distance: ({ value }: { value: number }) => Math.abs(value - 9.4) } as const;
    const content = tooltipContent(pointed, USUAL);
    expect(content.rows).toHaveLength(USUAL.rows);
    expect(content.rows).toContain(readings[20]);
    expect(content.more).toBe(30 - USUAL.rows);
    const first = (order: "low" | "near" | "name") => tooltipContent({ ...pointed, nearest: null }, { order, rows: 1 }).rows[0]!.line.label;
    expect([first("low"), first("near"), first("name")]).toEqual(["run 0", "run 9", "run 0"]);
    expect(readingText("relative", { ...readings[0]!, x: 90 })).toBe("run 29 · 1:30 min · step 0 · 29");
    expect(readingText("step", readings[0]!, "nat")).toBe("run 29 · step 0 · 29 nat");
    expect(tooltipContent({ ...pointed, unit: "nat" }, USUAL).title).toBe("step 0 · nat");
  });
});

describe("a chart as text", () => {
  it("says where each line begins, ends, and is lowest and highest", () => {
    const line = lineOf([0, 1, 2, 3], [3, NaN, 0.5, 1], { label: "first", marks: [{ x: 1, count: 1, kinds: ["NaN"] }] });
    expect(chartText("loss", [line, lineOf([], [])], "step", "http://x/").split("\n")).toEqual([
      "Chart loss, 1 line: http://x/",
      "- first: 4 points, first 3 at step 0, last 1 at step 3, lowest 0.5 at step 2, highest 3 at step 0, 1 not finite",
    ]);
  });
});

describe("files", () => {
  const drawn = {
    canvas: { width: 200, height: 100 } as HTMLCanvasElement,
    lines: [lineOf([0, 5, 10], [0, 10, 5], { label: '<b>"x"</b>', smoothed: Float64Array.of(1, 9, 6) })],
    x: { ...axis("linear", 0, 10), start: 40, end: 190 },
    y: { ...axis("linear", 0, 10), start: 80, end: 10 },
    ticks: { x: [[5, "5"]], y: [[0, "0"]] } as { x: [number, string][]; y: [number, string][] },
    ratio: 1,
    view: { colours: { text: "#000", grid: "#eee", background: "#fff", mark: "#f00" } } as never,
  };

  it("are well-formed, whatever names say", () => {
    const text = svg(drawn, "a < b & c");
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
    expect(parsed.querySelector("parsererror")).toBeNull();
    expect(text).toContain("a &#60; b &#38; c");
    expect(text).not.toContain("<b>");
    expect(parsed.querySelectorAll("g path")).toHaveLength(2); // the raw line behind the smoothed one
  });

  it("hold every float64 exactly", () => {
    const [, row] = csv([lineOf([1], [0.1 + 0.2], { label: 'say "x"' })]).split("\r\n");
    expect(row).toBe('"say ""x""",1,1,,0.30000000000000004');
  });
});
