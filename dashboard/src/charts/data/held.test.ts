import { describe, expect, it } from "vitest";
import type { StreamEvent } from "../../api/types";
import { Held, Shelf } from "./held";

const answer = (steps: number[]) => ({
  run_id: "r", series: "loss", count: steps.length, in_range: steps.length, exact: true,
  columns: { steps, times: steps, values: steps.map(() => 1) }, marks: [],
});
const event = (offset: number, steps: number[], value: number | "NaN" = 2): StreamEvent => ({
  run_id: "r", kind: "metrics", partition: 0, offset, producer: "p", seq: 0, time: 0, attempt: 1,
  series: [{ series: "loss", name: "loss", labels: {}, count: steps.length, points: steps.map((step) => [step, step, value] as const) }],
});
const stepsOf = (held: Held | undefined) => [...(held?.points.steps.subarray(0, held.points.length) ?? [])];

describe("a series of an answer and a stream", () => {
  it("has each point once, whichever brought it", () => {
    const held = new Held(answer([1, 2]), "0:10,1:4");
    const take = (one: StreamEvent) => held.take(one, one.series![0]!);
    expect(take(event(9, [2]))).toBe(false); // in the answer
    expect(take(event(10, [3]))).toBe(true);
    expect(take(event(11, [4], "NaN"))).toBe(true);
    expect(stepsOf(held)).toEqual([1, 2, 3, 4]);
    expect(held.points.marks).toEqual([{ step: 4, time: 4, count: 1, kinds: ["NaN"] }]);
  });

  it("begins with the stream where its run had none", () => {
    const shelf = new Shelf();
    const one = event(3, [7]);
    expect(shelf.take(one, one.series![0]!)).toBe(false); // nobody asked for it
    shelf.asked.add("loss");
    expect(shelf.take(one, one.series![0]!)).toBe(false); // the answer will say what was before
    shelf.answer(["loss"]);
    expect(shelf.take(one, one.series![0]!)).toBe(true);
    expect(stepsOf(shelf.get("r", "loss"))).toEqual([7]);
    shelf.keep(new Set(["other"]));
    expect(shelf.get("r", "loss")).toBeUndefined();
  });
});

describe("points that a slow page got coalesced", () => {
  it("are no longer all of them, and may overlap an answer", () => {
    const held = new Held(answer([1, 2]), "0:10");
    const coalesced = { ...event(14, [3]), first_offset: 8 };
    expect(held.overlaps(coalesced)).toBe(true);
    expect(held.overlaps({ ...coalesced, first_offset: 10 })).toBe(false);
    expect(held.overlaps(event(14, [3]))).toBe(false);
    held.take(coalesced, { ...coalesced.series![0]!, left_out: 5 });
    expect(held.points.exact).toBe(false);
  });
});
