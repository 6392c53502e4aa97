import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ChartData } from "./data";
import { decode, type Head } from "./frame";
import golden from "./frame.golden.json";
import type { Model } from "./main";

// As gateway/notebook/frames.py writes it.
function encode(head: Head, columns: readonly (readonly number[])[][]): DataView {
  let text = JSON.stringify(head);
  text += " ".repeat((8 - ((4 + text.length) % 8)) % 8);
  const cells = Float64Array.from(columns.flat(2));
  const bytes = new Uint8Array(4 + text.length + cells.byteLength);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(new TextEncoder().encode(text), 4);
  bytes.set(new Uint8Array(cells.buffer), 4 + text.length);
  return new DataView(bytes.buffer);
}

const run = { id: "r", name: "first", began: 0 };
const loss = (rows: number) => ({ run_id: "r", series: "loss", rows, count: rows, exact: true, unit: "nats", marks: [] });
const all = (number: number, values: number[], more: Partial<Head> = {}) =>
  encode({ kind: "all", number, reading: 1, runs: [run], cut: "", series: [loss(values.length)], ...more }, [[values.map((_, step) => step), values.map((_, step) => step * 1e6), values]]);
const added = (number: number, step: number, value: number, series = "loss") =>
  encode({ kind: "more", number, series: [{ run_id: "r", series, rows: 1 }] }, [[[step], [step * 1e6], [value]]]);
const valuesOf = (data: ChartData, series = "loss") => [...(data.held("r", series)?.points.values.subarray(0, data.held("r", series)!.points.length) ?? [])];

describe("a frame", () => {
  it("is read as Python writes it, wherever it begins", () => {
    const bytes = Uint8Array.from(golden.hex.match(/../g)!, (pair) => parseInt(pair, 16));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    const { head, columns } = decode(new DataView(shifted.buffer, 3))!;
    expect(head).toEqual({ ...golden.head, series: golden.series });
    expect([...columns[0]!.values as Float64Array]).toEqual([0.5, NaN]);
    expect([[...(columns[1]!.steps as Float64Array)], [...(columns[1]!.times as Float64Array)]]).toEqual([[3], [4]]);
    expect(decode(new DataView(new ArrayBuffer(0)))).toBeNull();
  });
});

describe("the data of a chart", () => {
  it("takes new points in their order and waits for the whole state after a gap", () => {
    const data = new ChartData();
    data.take(decode(all(1, [3, 2]))!);
    data.take(decode(added(2, 2, 1))!);
    data.take(decode(added(4, 3, 99))!); // 3 was lost
    expect(valuesOf(data)).toEqual([3, 2, 1]);
    data.take(decode(all(4, [3, 2, 1, 0.5]))!);
    data.take(decode(added(5, 0, 7, "val/loss"))!);
    expect([valuesOf(data), valuesOf(data, "val/loss")]).toEqual([[3, 2, 1, 0.5], [7]]);
    expect([...data.panels.value.keys()]).toEqual(["loss", "val/loss"]);
  });

  it("shows a part that was asked for, asks again when points were replaced, and forgets it", () => {
    const asked: unknown[] = [];
    const data = new ChartData((window) => asked.push(window));
    const window = { axis: "step", from: 5, to: 6 } as const;
    data.take(decode(all(1, [3, 2]))!);
    data.setWindow(window);
    const part = (from: number) => encode({ kind: "window", window: { ...window, from }, series: [loss(1)] }, [[[5], [5], [9]]]);
    data.take(decode(part(4))!); // of a zoom before
    expect(valuesOf(data)).toEqual([3, 2]);
    data.take(decode(part(5))!);
    expect(valuesOf(data)).toEqual([9]);
    data.take(decode(all(2, [1, 1]))!);
    expect([asked.length, valuesOf(data)]).toEqual([1, [9]]);
    data.take(decode(all(3, [1, 1], { reading: 2 }))!);
    expect(asked).toEqual([window, window]);
    data.setWindow(null);
    expect(valuesOf(data)).toEqual([1, 1]);
  });
});

class FakeModel implements Model {
  readonly sent: unknown[] = [];
  private readonly heard = new Map<string, Set<(...values: never[]) => void>>();
  constructor(private readonly values: Record<string, unknown>) {}
  get(name: string) { return this.values[name]; }
  set(name: string, value: unknown) { this.values[name] = value; }
  save_changes() { this.sent.push("saved"); }
  send(message: unknown) { this.sent.push(message); }
  on(event: string, listener: (...values: never[]) => void) { this.heard.set(event, (this.heard.get(event) ?? new Set()).add(listener)); }
  off(event: string, listener: (...values: never[]) => void) { this.heard.get(event)?.delete(listener); }
  emit(event: string, ...values: unknown[]) { for (const one of this.heard.get(event) ?? []) (one as (...values: unknown[]) => void)(...values); }
  get listeners() { return [...this.heard.values()].reduce((sum, all) => sum + all.size, 0); }
}

describe("the widget", () => {
  const context = new Proxy({} as Record<string, unknown>, { get: (own, name: string) => own[name] ?? (() => ({ width: 6 })), set: (own, name: string, value) => ((own[name] = value), true) });
  const settled = () => new Promise((done) => setTimeout(done, 30));

  beforeEach(() => {
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(() => context as never);
    vi.stubGlobal("Path2D", class {});
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it("says what is wrong, draws what comes, tells Python how it is looked at, and leaves nothing behind", async () => {
    const { default: widget } = await import("./main");
    const look = { x: "step", yScale: "linear", smoothing: 0, height: 200 };
    const model = new FakeModel({ state: new DataView(new ArrayBuffer(0)), problem: "the API is away", look });
    const el = document.createElement("div");
    document.body.append(el);
    const end = widget.render({ model, el });
    await settled();
    expect(el.querySelector("[role=alert]")!.textContent).toBe("the API is away");
    model.set("problem", "");
    model.emit("change:problem");
    model.set("state", all(1, [3, 2]));
    model.emit("change:state");
    model.emit("msg:custom", { kind: "frame" }, [added(2, 2, 1)]);
    await settled();
    expect(el.querySelector("[role=alert]")).toBeNull();
    expect(el.querySelector("figcaption")!.textContent).toContain("loss");
    const scale = el.querySelectorAll("select")[1]!;
    scale.value = "log";
    scale.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    expect(model.get("look")).toEqual({ ...look, yScale: "log" });
    end();
    expect([el.childElementCount, model.listeners]).toEqual([0, 0]);
    expect(model.sent.filter((one) => one !== "saved")).toEqual([{ kind: "shown" }, { kind: "hidden" }]);
    el.remove();
  });
});
