import { afterEach, expect, test, vi } from "vitest";
import { follow, streamState } from "./stream";
import type { StreamEvent } from "./types";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A server of a log of numbered events: a connection sends them from the position asked for, then breaks. */
function server(plan: { breakAfter: number[]; length: number; refuse?: (asked: string) => Response | null }): { asked: string[] } {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
    const position = (init.headers as Record<string, string>)["Last-Event-ID"] ?? "";
    asked.push(position);
    const refusal = plan.refuse?.(position);
    if (refusal) return refusal;
    const { signal } = init;
    const from = position === "" ? 0 : Number(position.split(":")[1]);
    const many = plan.breakAfter.shift() ?? Infinity;
    const text = [`id: 0:${from}\n\n`];
    for (let at = from; at < Math.min(plan.length, from + many); at += 1) text.push(`id: 0:${at + 1}\ndata: {"offset": ${at}}\n\n`);
    if (many !== Infinity) text.push('id: 0:999\ndata: {"off'); // cut in the middle of a frame
    return new Response(
      new ReadableStream<Uint8Array>({
        pull(control) {
          const next = text.splice(0).join("");
          if (next) control.enqueue(new TextEncoder().encode(next));
          else if (many !== Infinity) control.error(new TypeError("broken"));
          else return new Promise((_, fail) => signal?.addEventListener("abort", () => fail(signal.reason))); // silent
          return undefined;
        },
      }),
    );
  });
  return { asked };
}

test("each event comes once and in order however often the connection breaks", async () => {
  vi.useFakeTimers();
  const { asked } = server({ breakAfter: [3, 0, 5, 1], length: 20 });
  const got: number[] = [];
  let resets = 0;
  const end = follow({ points: "last" }, { onEvents: (events: readonly StreamEvent[]) => got.push(...events.map((one) => one.offset)), onReset: () => (resets += 1) });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(got).toEqual(Array.from({ length: 20 }, (_, at) => at));
  expect(resets).toBe(1);
  expect(asked[0]).toBe("");
  expect(streamState.value).toBe("live");
  end();
  expect(streamState.value).toBe("idle");
});

test("a stream that cannot go on begins anew and says so", async () => {
  vi.useFakeTimers();
  const { asked } = server({ breakAfter: [2], length: 4, refuse: (position) => (position === "0:2" ? new Response('{"error": "the log is new"}', { status: 410 }) : null) });
  let resets = 0;
  const end = follow({ run: "a" }, { onEvents: () => undefined, onReset: () => (resets += 1) });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toEqual(["", "0:2", ""]);
  expect(resets).toBe(2);
  end();
});

test("those who follow the same share a connection, and a late one is told to read", async () => {
  vi.useFakeTimers();
  const { asked } = server({ breakAfter: [], length: 1 });
  let late = 0;
  const first = follow({ run: "b" }, { onEvents: () => undefined, onReset: () => undefined });
  await vi.advanceTimersByTimeAsync(100);
  const second = follow({ run: "b" }, { onEvents: () => undefined, onReset: () => (late += 1) });
  await vi.advanceTimersByTimeAsync(100);
  expect([asked.length, late]).toEqual([1, 1]);
  first();
  second();
});

test("a connection without a sign of life is given up and goes on from its position", async () => {
  vi.useFakeTimers();
  const { asked } = server({ breakAfter: [], length: 2 });
  const end = follow({ run: "c" }, { onEvents: () => undefined, onReset: () => undefined });
  await vi.advanceTimersByTimeAsync(100);
  expect(asked).toEqual([""]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked).toEqual(["", "0:2"]);
  end();
});

test("topics share a connection, which goes on after its end and tells what each of them says", async () => {
  vi.useFakeTimers();
  const asked: [string, unknown, string][] = [];
  const frames = [
    'id: runs=0:1;series=0:1\n\n',
    'id: runs=0:1;series=0:2\nevent: series\ndata: {"as_of":"0:2","series":[{"run_id":"r","offset":1,"partition":0,"columns":{"steps":[1],"times":[2],"values":[3]}}]}\n\n',
    'id: runs=0:2;series=0:2\nevent: runs\ndata: {"as_of":"0:2","changed":["r"],"gone":[]}\n\n',
    'id: runs=0:3;series=0:2\nevent: reset\ndata: {"topic":"runs","reason":"much","as_of":"0:3"}\n\nevent: dropped\ndata: {"reason":"slow"}\n\n',
  ];
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    asked.push([path, JSON.parse(String(init.body)), (init.headers as Record<string, string>)["Last-Event-ID"] ?? ""]);
    const text = asked.length > 1 ? "" : frames.join("");
    return new Response(text || new ReadableStream({ pull: () => new Promise((_, fail) => init.signal?.addEventListener("abort", () => fail(init.signal?.reason))) }));
  });
  const heard: unknown[] = [];
  const topics = { runs: {}, series: { runs: ["r"] } };
  const end = follow(
    { topics },
    { onEvents: (events) => heard.push(events.map((one) => one.kind)), onNews: (news) => heard.push(news.data.changed), onReset: () => heard.push("reset") },
    "0:1",
  );
  await vi.advanceTimersByTimeAsync(1_000);
  expect(heard).toEqual(["reset", ["metrics"], ["r"]]);
  expect(asked).toEqual([["/v1/stream", topics, "0:1"], ["/v1/stream", topics, "runs=0:3;series=0:2"]]);
  end();
});
