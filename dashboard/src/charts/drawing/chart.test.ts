import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Chart as ChartClass, ChartView } from "./chart";
import type { Line } from "./line";
import { USUAL } from "./tooltip";

// What a browser has and happy-dom lacks: a canvas that draws, sizes and media queries.
const drawn: string[] = [];
const context = new Proxy({} as Record<string, unknown>, {
  get: (own, name: string) => own[name] ?? ((...parts: unknown[]) => (name === "stroke" && drawn.push(String(own.strokeStyle)), name === "measureText" ? { width: String(parts[0]).length * 6 } : undefined)),
  set: (own, name: string, value) => ((own[name] = value), true),
});

const line = (key: string, ys: number[], colour: string): Line => ({
  key, owner: key, label: key, colour, dash: [], xs: Float64Array.from(ys.keys()), ys: Float64Array.from(ys), isRising: true, smoothed: null, band: null, marks: [], isSuperseded: false, steps: null, times: null,
});
const view: ChartView = {
  xAxis: "step", xScale: "linear", yScale: "linear", clip: false, zoomX: null, zoomY: null, tooltip: USUAL,
  colours: { text: "#000000", grid: "#eeeeee", background: "#ffffff", mark: "#ff0000" },
};

describe("Chart", () => {
  let Chart: typeof ChartClass;
  let host: HTMLElement;
  const settled = () => new Promise((done) => setTimeout(done, 120));

  beforeEach(async () => {
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(() => context as never);
    vi.stubGlobal("Path2D", class {});
    ({ Chart } = await import("./chart"));
    host = document.createElement("div");
    Object.defineProperties(host, { clientWidth: { value: 400 }, clientHeight: { value: 200 } });
    document.body.append(host);
    drawn.length = 0;
  });
  afterEach(() => {
    host.remove();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it("draws what its source says, reads it with the keyboard, and leaves nothing behind", async () => {
    const read: string[] = [];
    const outside: number[] = [];
    const chart = new Chart(host, { onRead: (text) => read.push(text), onDrawn: (found) => outside.push(found.outside) });
    let lines = [line("a", [1, 2, 3], "#aa0000")];
    chart.show(() => lines, view);
    await settled();
    expect(drawn).toContain("#aa0000");
    expect(chart.drawn()!.x).toMatchObject({ min: 0, max: 2 });

    chart.moveCursor("first");
    chart.moveCursor(1);
    expect(read.at(-1)).toBe("a · step 1 · 2");

    lines = [...lines, line("b", [4, 5, 600], "#00bb00")];
    chart.changed();
    await settled();
    expect(drawn).toContain("#00bb00");
    expect(chart.drawn()!.y.max).toBeGreaterThan(600);
    chart.destroy();
    expect(host.querySelector("canvas")).toBeNull();
  });

  it("zooms to what is chosen, shows all else, and rests while it is not seen", async () => {
    const zoomed: unknown[] = [];
    const chart = new Chart(host, { onZoom: (x, y) => zoomed.push([x, y]) });
    const source = vi.fn(() => [line("a", [1, 2, 3, 4, 5], "#aa0000")]);
    chart.show(source, { ...view, zoomX: [1, 3] });
    await settled();
    expect(chart.drawn()!.x).toMatchObject({ min: 1, max: 3 });
    expect(chart.drawn()!.y.max).toBeLessThan(5);
    chart.zoomBy(0.5);
    expect(zoomed).toHaveLength(1);

    chart.setSeen(false);
    source.mockClear();
    chart.changed();
    await settled();
    expect(source).not.toHaveBeenCalled();
    chart.destroy();
  });
});
