import { afterEach, expect, test, vi } from "vitest";
import { certificate, deliveryVerdict } from "./certificate";
import type { RunDelivery } from "./certificate";
import { ConsoleLines, lineAtTime, parts, plainText } from "./console/lines";
import { contextOf } from "./context";
import { typedValue, writtenValue } from "./edit";
import { imageAt, imageSeries, imageType, kindOf, readCsv, sizeText, stepInPath, tableOfJson } from "./files/kinds";
import { ganttOf, placeOf, ticksOf } from "./gantt_layout";
import { colourAt, heatOfHistograms, heatOfSeries, machineSeries } from "./heat/heat";
import type { RunLog, StepLog } from "./log";

afterEach(() => vi.unstubAllGlobals());

const attempt = (number: number, start: string | null, end: string | null) => ({ attempt_number: number, start_time: start, end_time: end, duration: null, status: "SUCCESS", message: "" });
const step = (name: string, attempts: StepLog["attempts"]): StepLog => ({ name, internal_name: name, status: "SUCCESS", step_type: "task", message: "", attempts, branches: {} });
const at = (second: number): string => `2026-11-21 08:00:${String(second).padStart(2, "0")}.500000`;

test("a Gantt has a bar for each attempt, and knows which later ones replaced", () => {
  const steps = { fit: step("fit", [attempt(1, at(0), null), attempt(2, at(20), at(40))]), next: step("next", [attempt(1, at(40), null)]), idle: step("idle", []) };
  const end = Date.UTC(2026, 10, 21, 8, 0, 50, 500) * 1000;
  const gantt = ganttOf(steps, end);
  const [fit, next, idle] = gantt.rows;
  expect(fit!.bars.map((bar) => [bar.isReplaced, bar.status, (bar.ended! - bar.began) / 1e6])).toEqual([[true, "LOST", 20], [false, "SUCCESS", 20]]);
  expect([next!.bars[0]!.ended, idle!.bars, gantt.replaced, gantt.to]).toEqual([null, [], 1, end]);
  expect(placeOf(gantt, fit!.bars[1]!.began)).toBeCloseTo(0.4);
  expect(ganttOf({}, 5).rows).toEqual([]);
  expect(ticksOf(50e6)).toEqual([0, 10e6, 20e6, 30e6, 40e6, 50e6]);
  for (const length of [1, 1e3, 7e6, 3.6e9, 9e11, 1e14]) expect(ticksOf(length).length).toBeLessThanOrEqual(9);
});

test("series of ranks become means in equal spans of time, and gaps stay gaps", () => {
  const heat = heatOfSeries([{ label: "a", times: [0, 1, 10], values: [1, 3, 8] }, { label: "b", times: [10], values: [NaN] }, { label: "c", times: [], values: [] }], 2);
  expect([...heat.rows[0]!.values]).toEqual([2, 8]);
  expect([...heat.rows[1]!.values, ...heat.rows[2]!.values]).toEqual([NaN, NaN, NaN, NaN]);
  expect([heat.columns, heat.low, heat.high]).toEqual([[0, 5], 2, 8]);
  expect(heatOfSeries([]).columns).toEqual([]);
});

test("histograms of other edges share rows: each column keeps all of its counts", () => {
  const heat = heatOfHistograms({ steps: [0, 5], edges: [[0, 1, 2], [-1, 3]], counts: [[3, 1], [8]] }, 8);
  const column = (number: number): number => heat.rows.reduce((sum, row) => sum + row.values[number]!, 0);
  expect([column(0), column(1)]).toEqual([1, 1].map((sum) => expect.closeTo(sum)));
  expect(heat.rows.at(-1)!.label).toBe("-1"); // lowest values are below
  expect(heat.rows.map((row) => row.values[0]! > 0)).toEqual([false, false, true, true, true, true, false, false]);
  expect(heatOfHistograms({ steps: [1], edges: [[2, 2]], counts: [[4]] }, 4).rows.reduce((sum, row) => sum + row.values[0]!, 0)).toBeCloseTo(1);
  expect(heatOfHistograms({ steps: [], edges: [], counts: [] }).rows).toEqual([]);
});

test("the colours of a heat map grow lighter, and metrics of machines name their rank and GPU", () => {
  const light = [0, 0.25, 0.5, 0.75, 1].map((part) => colourAt(part).reduce((sum, one, channel) => sum + one * [0.299, 0.587, 0.114][channel]!, 0));
  expect(light).toEqual([...light].sort((a, b) => a - b));
  expect(machineSeries("system/gpu/3/memory_percent{rank=7}")).toMatchObject({ metric: "gpu memory_percent", device: "rank 7 · gpu 3" });
  expect(machineSeries("system/cpu_percent")).toMatchObject({ metric: "cpu_percent", device: "this process" });
  expect(machineSeries("loss")).toBe(null);
});

test("files are shown as what they are, never as what they say", () => {
  expect(["a/b.PNG", "x.svg", "x.csv", "x.json", "page.html", "x.bin", "Makefile"].map((path) => kindOf(path, ""))).toEqual(["image", "image", "table", "json", "text", "other", "other"]);
  expect([kindOf("x", "text/html"), imageType("x.html"), imageType(".png")]).toEqual(["text", "", "image/png"]);
  expect(readCsv('a,"b ""c""",d\r\n1,"2,\n3",\n\n')).toEqual({ head: ["a", 'b "c"', "d"], rows: [["1", "2,\n3", ""]] });
  expect(tableOfJson({ columns: ["a"], data: [[1], ["x"]] })).toEqual({ head: ["a"], rows: [["1"], ["x"]] });
  expect(tableOfJson([{ a: 1 }, { b: null }])).toEqual({ head: ["a", "b"], rows: [["1", ""], ["", "null"]] });
  expect([tableOfJson({ a: 1 }), tableOfJson([]), tableOfJson(null)]).toEqual([null, null, null]);
  expect([sizeText(0), sizeText(999), sizeText(1500), sizeText(2.5e9), sizeText(null)]).toEqual(["0 B", "999 B", "1.5 kB", "2.5 GB", ""]);
});

test("pictures of several steps are one series, whoever named them", () => {
  expect(stepInPath("images/digit%step%12%timestamp%3%abc.png")).toEqual({ name: "images/digit", step: 12 });
  expect(stepInPath("media/images/sample_40_0123456789abcdef0123.png")).toEqual({ name: "media/images/sample.png", step: 40 });
  expect(stepInPath("epoch_3/grid.png")).toEqual({ name: "epoch_*/grid.png", step: 3 });
  expect(stepInPath("logo.png")).toBe(null);
  const [one, ...others] = imageSeries(["s/x_10.png", "s/x_2.png", "s/only_1.png", "notes_1.txt", "notes_2.txt"]);
  expect([one!.name, one!.images.map((image) => image.step), others]).toEqual(["s/x_*.png", [2, 10], []]);
  expect([imageAt(one!, 9).step, imageAt(one!, 0).step, imageAt(one!, 99).step]).toEqual([2, 2, 10]);
});

test("a console line is what a terminal would show, with what was searched", () => {
  expect(plainText("\u001b[1;32mgreen\u001b[0m\u001b]0;title\u0007 10%\r 20%\r")).toBe(" 20%");
  expect(parts("Loss loss", { search: "LOSS", isRegex: false })).toEqual(["", "Loss", " ", "loss", ""]);
  expect(parts("a1b", { search: "[0-9]", isRegex: true })).toEqual(["a", "1", "b"]);
  expect(parts("a(b", { search: "(", isRegex: false })).toEqual(["a", "(", "b"]);
  expect([parts("x", { search: "[", isRegex: true }), parts("x", { search: "y*", isRegex: true })]).toEqual([["x"], ["x"]]);
  const lines = [1, 5, 9].map((time) => ({ at: "", stream: "", time, line: "", cut: false }));
  expect([0, 5, 6, 10].map((time) => lineAtTime(lines, time))).toEqual([0, 1, 2, 2]);
});

test("the console grows at both ends, follows, and lets go of pages far away", async () => {
  const all = Array.from({ length: 30_000 }, (_, time) => ({ at: `${time}:0`, stream: "stdout", time, line: `${time}`, cut: false }));
  let length = 29_990;
  vi.stubGlobal("fetch", async (path: string) => {
    const params = new URL(path, "http://x").searchParams;
    const limit = Number(params.get("limit"));
    const [before, after] = [params.get("before"), params.get("after")];
    const end = before === "end" ? length : before ? Number(before) : after ? Math.min(length, Number(after) + limit) : limit;
    const start = before ? Math.max(0, end - limit) : after ? Number(after) : 0;
    const lines = all.slice(start, end);
    const page = { lines, previous_token: lines.length ? `${start}` : null, next_token: lines.length ? `${end}` : null, has_previous: start > 0, has_next: end < length };
    return new Response(JSON.stringify(page));
  });
  const shown = new ConsoleLines("r", { search: "", isRegex: false, stream: "", at: 0 });
  const span = (): (number | undefined)[] => [shown.lines.value[0]?.time, shown.lines.value.at(-1)?.time, shown.lines.value.length];
  await shown.begin();
  expect(span()).toEqual([29_490, 29_989, 500]);
  await shown.before();
  expect([shown.prepended, ...span()]).toEqual([500, 28_990, 29_989, 1_000]);
  length = 30_000;
  await shown.after();
  expect(span()).toEqual([28_990, 29_999, 1_010]);
  for (let page = 0; page < 45; page += 1) await shown.before();
  const [first, last, kept] = span();
  expect([kept! <= 20_000, last! - first! + 1, shown.hasNext.value]).toEqual([true, kept, true]);
  await shown.after(); // all that follows, in pages
  expect([shown.lines.value.at(-1)!.time, shown.lines.value.every((line, at, lines) => !at || line.time === lines[at - 1]!.time + 1)]).toEqual([29_999, true]);
});

test("a parameter is read back as it was, whatever it holds", () => {
  for (const value of [1, 0.5, true, null, "adam", "1", "true", '"quoted"', "", [1, "a"], { a: 1 }]) expect(typedValue(writtenValue(value))).toEqual(value);
  expect([writtenValue("adam"), writtenValue("1")]).toEqual(["adam", '"1"']);
});

const producer = { producer: "p", received: 4, expected: 4, missing: [] as [number, number][], refused_duplicates: 0, dropped_points: 0, author: "" };

test("a certificate names each loss, and what trackers have is said in words", () => {
  const found = { as_of: "", folded: { partition: 2, offset: 1_234 }, missing: 0, dead_letters: 0, deliveries: [] };
  const log = { completeness: [producer], points_dropped: null, truncated: [] };
  expect(certificate(log, null)).toMatchObject({ tone: "good", word: "Complete" });
  expect(certificate(log, { ...found, dead_letters: 1 })).toMatchObject({ tone: "bad", sentences: [expect.anything(), expect.stringContaining("partition 2, offset 1,234"), expect.stringContaining("1 record cannot be folded")] });
  const one: RunDelivery = { tracker: "mlflow", status: "delivering", next_offset: 10, is_complete: true, in_doubt: false, skipped: 0, error: "", updated: 1, url: "" };
  const words = [one, { ...one, is_complete: false }, { ...one, is_complete: null }, { ...one, status: "parked" as const }, { ...one, status: "none" as const }, { ...one, in_doubt: true }].map((each) => deliveryVerdict(each, 12).word);
  expect(words).toEqual(["has all", "behind by up to 2 records of its partition", "receives its history", "refused", "has nothing of it", "a call is in doubt, tried again"]);
});

test("a run as text says what a reader must know, and no more than fits", () => {
  const params = Object.fromEntries(Array.from({ length: 50 }, (_, number) => [`p${number}`, number]));
  const log = { run_id: "r", name: "first", state: "failed", message: "no memory", experiment: "digits", start_time: at(0), end_time: at(30), steps: {}, completeness: [producer], best: { loss: 0.1 }, parameters: params, tags: {}, note: "why" } as unknown as RunLog;
  const text = contextOf(log, { loss: "NaN" }, "http://h/runs/r");
  for (const part of ["# Run first", "state: failed (no memory)", "took 30 s", "## Best values\n- loss: 0.1", "- loss: NaN", "- and 10 more", "## Note\nwhy"]) expect(text).toContain(part);
});
