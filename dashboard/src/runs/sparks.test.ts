import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Sparks } from "./sparks";

const open: ((value: number) => void)[] = [];

beforeEach(() => {
  open.length = 0;
  vi.useFakeTimers();
  vi.stubGlobal("fetch", (_: string, { body }: RequestInit) => {
    const { runs } = JSON.parse(body as string) as { runs: string[] };
    return new Promise((resolve) => {
      const series = (value: number) => runs.map((run_id) => ({ run_id, series: "loss", columns: { steps: [0, 1], values: [0, value] } }));
      open.push((value) => resolve(new Response(JSON.stringify({ series: series(value) }))));
    });
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function answer(value: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(2_000);
  expect(open).toHaveLength(1);
  open.shift()!(value);
  await vi.advanceTimersByTimeAsync(10);
}

const last = (sparks: Sparks, run: string): number | undefined => sparks.of(run, "loss")?.values.at(-1);

test("news that come while a question is open are asked for again", async () => {
  const sparks = new Sparks();
  sparks.want(["a"], ["loss"]);
  await answer(1);
  sparks.again(["a"]);
  await vi.advanceTimersByTimeAsync(2_000);
  sparks.again(["a"]);
  await answer(2);
  await answer(3);
  expect(last(sparks, "a")).toBe(3);
  sparks.stop();
});

test("news of a row out of sight are read when it is seen, and all after a reset", async () => {
  const sparks = new Sparks();
  sparks.want(["a"], ["loss"]);
  await answer(1);
  sparks.want(["b"], ["loss"]);
  await answer(2);
  sparks.again(["a"]);
  sparks.want(["a"], ["loss"]);
  await answer(3);
  sparks.clear();
  expect(last(sparks, "a")).toBe(3); // the old one, until the new one is there
  await answer(4);
  expect(last(sparks, "a")).toBe(4);
  sparks.stop();
});
