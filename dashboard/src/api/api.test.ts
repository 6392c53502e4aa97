import { afterEach, expect, test, vi } from "vitest";
import { ask, away, tell, useCsrf } from "./client";
import { ApiError } from "./errors";
import { covers, latest, parseOffsets, writeOffsets } from "./offsets";
import { paced } from "./paced";
import { SseParser } from "./sse";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function answers(...given: (Response | Error)[]): ReturnType<typeof vi.fn> {
  const fetched = vi.fn(async () => {
    const next = given.length > 1 ? given.shift() : given[0];
    if (next instanceof Error) throw next;
    return (next as Response).clone();
  });
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

const ok = (body: unknown): Response => new Response(JSON.stringify(body), { status: 200 });
const no = (status: number, body: unknown): Response => new Response(JSON.stringify(body), { status });

test("a refusal says what is wrong and what to do", async () => {
  answers(no(400, { error: "bad filter", next: "write and", position: 4, end: 7 }));
  const error = await ask("/v1/x").catch((found: unknown) => found);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ message: "bad filter", next: "write and", status: 400, body: { position: 4 } });
  expect(away.value).toBe(null);
});

test("while the server is away it is asked again, and the page says so", async () => {
  vi.useFakeTimers();
  const fetched = answers(new TypeError("refused"), no(503, { error: "starting" }), ok({ a: 1 }));
  const answer = ask("/v1/x");
  await vi.advanceTimersByTimeAsync(10);
  expect(away.value?.status).toBe(0);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await answer).toEqual({ a: 1 });
  expect(fetched).toHaveBeenCalledTimes(3);
  expect(away.value).toBe(null);
});

test("a question that nobody waits for ends, also between two tries", async () => {
  vi.useFakeTimers();
  answers(new TypeError("refused"));
  const stop = new AbortController();
  const answer = ask("/v1/x", { signal: stop.signal }).catch((error: unknown) => (error as Error).name);
  await vi.advanceTimersByTimeAsync(10);
  stop.abort();
  expect(await answer).toBe("AbortError");
});

test("after a write, questions wait for it until an answer has it", async () => {
  const fetched = answers(ok({ as_of: "0:8,1:2" }), ok({ as_of: "0:8,1:1" }), ok({ as_of: "0:8" }), ok({ as_of: "0:9,1:2" }), ok({}));
  useCsrf("token");
  await tell("/v1/runs/a/edits", { body: { note: "n" } });
  const sent = fetched.mock.calls[0]?.[1] as RequestInit;
  expect(sent).toMatchObject({ method: "POST", headers: { "X-Gateway-CSRF": "token" } });
  expect((sent.headers as Record<string, string>)["Idempotency-Key"]).toMatch(/^[0-9a-f-]{36}$/);
  await ask("/v1/runs/table", { body: { limit: 1 } });
  expect((fetched.mock.calls[1]?.[1] as RequestInit).body).toBe('{"limit":1,"min_offsets":"0:8,1:2"}');
  for (let at = 0; at < 3; at += 1) await ask("/v1/runs?limit=1");
  const asked = fetched.mock.calls.slice(2).map(([path]) => String(path));
  expect(asked).toEqual([`/v1/runs?limit=1&min_offsets=${encodeURIComponent("0:8,1:2")}`, `/v1/runs?limit=1&min_offsets=${encodeURIComponent("0:8,1:2")}`, "/v1/runs?limit=1"]);
});

test("a write whose answer was lost is sent again as the same", async () => {
  vi.useFakeTimers();
  const fetched = answers(new TypeError("broken"), no(504, { error: "not decided" }), ok({ version: 1 }));
  const answer = tell("/v1/views/a", { method: "PUT", body: {} });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await answer).toEqual({ version: 1 });
  const keys = fetched.mock.calls.map(([, init]) => ((init as RequestInit).headers as Record<string, string>)["Idempotency-Key"]);
  expect(new Set(keys).size).toBe(1);
});

test("offsets are compared by partition", () => {
  expect(writeOffsets(latest(parseOffsets("1:3,0:9"), parseOffsets("1:5,2:1")))).toBe("0:9,1:5,2:1");
  expect(covers(parseOffsets("0:9,1:5"), parseOffsets("0:9"))).toBe(true);
  expect(covers(parseOffsets("0:9"), parseOffsets("1:1"))).toBe(false);
  expect(parseOffsets("x,1:a,").size).toBe(0);
});

const STREAM = 'retry: 1000\nid: 0:1,1:0\n\nid: 0:2\ndata: {"a":\ndata: 1}\n\n: comment\nevent: alive\ndata:\nid: 0:3\n\r\nid:0:4\r\ndata:x\r\n\r\n';

test("frames are the same in whatever pieces they come", () => {
  const whole = new SseParser().feed(STREAM);
  expect(whole.map((one) => [one.event, one.data, one.id])).toEqual([
    ["message", "", "0:1,1:0"],
    ["message", '{"a":\n1}', "0:2"],
    ["alive", "", "0:3"],
    ["message", "x", "0:4"],
  ]);
  for (let size = 1; size < 30; size += 1) {
    const parser = new SseParser();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size) found.push(...parser.feed(STREAM.slice(at, at + size)));
    expect(found).toEqual(whole);
    expect(parser.id).toBe("0:4");
  }
});

test("work that many ask for is done once a burst, and never forgotten", async () => {
  vi.useFakeTimers();
  let done = 0;
  let release = (): void => undefined;
  const work = paced(() => {
    done += 1;
    return new Promise<void>((end) => (release = end));
  }, 1_000);
  for (let at = 0; at < 5; at += 1) work.ask();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(done).toBe(1);
  work.ask(); // while it works
  release();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(done).toBe(2);
  work.stop();
  release();
  work.ask();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(done).toBe(2);
});
