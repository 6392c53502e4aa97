import { signal } from "@preact/signals";
import { expect, test } from "vitest";
import { deltaOf, deltaText, verdict } from "../components/delta";
import { columnsCodec, inOrder, moveBy, moveTo, nextSorts, readKey, sortsCodec, writeKey } from "./columns";
import type { Column, Key } from "./columns";
import { complete, fit, toPoints, toUnits } from "./completion";
import { askedKeys, tableBody } from "./query";
import { Rows, WINDOW } from "./rows";
import { allLines, both, filterName, groupWhere, lineAt, wantLines } from "./sections";
import type { Section } from "./sections";
import { sparkPath } from "./sparks";

const names = (columns: readonly Column[]): string[] => columns.map((one) => `${one.pinned ? "!" : ""}${writeKey(one.key)}`);
const NAME: Key = ["fact", "name"];
const STATE: Key = ["fact", "state"];
const LOSS: Key = ["metric", "loss"];

test("columns come back from an address as they were, whatever their names hold", () => {
  const columns: Column[] = [
    { key: NAME, pinned: true, width: 240 }, { key: ["metric", "val/loss, mean", "min"] }, { key: ["param", "a:b~7"] }, { key: ["tag", "!x"], width: 90 }, { key: ["spark", "loss"] },
  ];
  expect(columnsCodec.read(columnsCodec.write(columns))).toEqual(columns);
  expect(columnsCodec.read("nonsense,fact:,!fact:name,fact:name")).toEqual([{ key: NAME, pinned: true }]);
  expect(columnsCodec.read("")).toEqual([]);
  const sorts = [{ key: ["metric", "a,-b"] as Key, descending: true }, { key: STATE, descending: false }];
  expect(sortsCodec.read(sortsCodec.write(sorts))).toEqual(sorts);
  expect(readKey("min:loss")).toEqual(["metric", "loss", "min"]);
});

test("columns move by one place and to another's, and change sides at the pinned ones", () => {
  const columns: Column[] = [{ key: NAME, pinned: true }, { key: STATE }, { key: LOSS }];
  expect(names(moveBy(columns, LOSS, -1))).toEqual(["!fact:name", "metric:loss", "fact:state"]);
  expect(names(moveBy(columns, STATE, -1))).toEqual(["!fact:name", "!fact:state", "metric:loss"]);
  expect(names(moveBy(columns, NAME, 1))).toEqual(["fact:name", "fact:state", "metric:loss"]);
  expect(names(moveBy(columns, NAME, -1))).toEqual(names(columns));
  expect(names(moveTo(columns, LOSS, NAME))).toEqual(["!metric:loss", "!fact:name", "fact:state"]);
  expect(names(moveTo(columns, NAME, LOSS))).toEqual(["fact:state", "metric:loss", "fact:name"]);
  expect(names(inOrder([{ key: LOSS }, { key: NAME, pinned: true }]))).toEqual(["!fact:name", "metric:loss"]);
});

test("a click sorts up, down, not; with Shift besides others", () => {
  const up = nextSorts([], LOSS, false);
  expect(nextSorts(up, LOSS, false)).toEqual([{ key: LOSS, descending: true }]);
  expect(nextSorts(nextSorts(up, LOSS, false), LOSS, false)).toEqual([]);
  const two = nextSorts(up, STATE, true);
  expect(nextSorts(two, LOSS, true)).toEqual([{ key: LOSS, descending: true }, { key: STATE, descending: false }]);
  expect(nextSorts(two, NAME, false)).toEqual([{ key: NAME, descending: false }]);
});

test("the API is asked for what the columns need", () => {
  expect(askedKeys([["fact", "duration"], ["spark", "loss"], LOSS]).map(writeKey)).toEqual(["fact:state", "fact:name", "fact:started", "fact:ended", "fact:updated", "metric:loss"]);
  const query = { where: " ", experiment: "7", stage: "active", sorts: [{ key: LOSS, descending: true }], keys: [] };
  expect(tableBody({ ...query, sorts: [{ key: ["fact", "duration"], descending: false }] })).toMatchObject({ order: [{ key: ["fact", "duration"] }] });
  expect(tableBody(query)).toMatchObject({ experiment_ids: ["7"], order: [{ key: LOSS, descending: true }] });
  expect(tableBody(query)).not.toHaveProperty("where");
});

test("only windows that are looked at are read, and old rows stay until new ones come", async () => {
  const asked: number[] = [];
  let round = 0;
  const rows = new Rows(async (offset, limit) => {
    asked.push(offset);
    return { rows: Array.from({ length: limit }, (_, at) => ({ id: `${offset + at}`, values: { round } })), total: 100_000, asOf: "" };
  });
  const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 0));
  rows.want(0, 40);
  await settle();
  rows.want(90_000, 90_040);
  await settle();
  expect(asked).toEqual([0, 90_000]);
  expect([rows.at(90_010)?.id, rows.at(5_000)]).toEqual(["90010", undefined]);
  round = 1;
  rows.again();
  expect(rows.at(90_010)?.values.round).toBe(0);
  await settle();
  expect(rows.at(90_010)?.values.round).toBe(1);
  expect(rows.at(0)).toBe(undefined); // forgotten: nobody looked
  expect(asked.at(-1)).toBe(90_000);
  expect([rows.has("90010"), rows.has("0")]).toEqual([true, false]);
  expect(rows.total.value).toBe(100_000);
});

test("an answer of an older question never replaces that of a newer one", async () => {
  let release = (): void => undefined;
  const slow = new Rows((_, __, stop) => new Promise((done, fail) => {
    stop.addEventListener("abort", () => fail(stop.reason));
    release = () => done({ rows: [{ id: "old", values: {} }], total: 1, asOf: "" });
  }));
  slow.want(0, 10);
  slow.again(async () => ({ rows: [{ id: "new", values: {} }], total: 1, asOf: "" }));
  await new Promise((done) => setTimeout(done, 0));
  release();
  await new Promise((done) => setTimeout(done, 0));
  expect(slow.at(0)?.id).toBe("new");
  expect(slow.error.value).toBe(null);
});

test("lines of groups are heads and the runs of open ones", () => {
  const wanted: string[] = [];
  const section = (group: string, runs: number, isOpen: boolean): Section => ({
    group, runs, isOpen, rows: { total: signal(null), at: () => undefined, want: (first, last) => void wanted.push(`${group} ${first}-${last}`) },
  });
  const sections = [section("a", 3, true), section("b", 1_000, false), section("c", 50, true)];
  expect(allLines(sections)).toBe(4 + 1 + 51);
  const at = (line: number): string => `${lineAt(sections, line)?.section.group} ${lineAt(sections, line)?.index}`;
  expect([0, 3, 4, 5, 6, 55, 56].map(at)).toEqual(["a -1", "a 2", "b -1", "c -1", "c 0", "c 49", "undefined undefined"]);
  wantLines(sections, 2, 9);
  expect(wanted).toEqual(["a 1-2", "c 0-3"]);
});

test("groups and names are written in the filter language", () => {
  expect(groupWhere(["param", "lr"], 0.1)).toBe("params.lr = 0.1");
  expect(groupWhere(["tag", "my team"], "it's")).toBe("tags.`my team` = 'it''s'");
  expect(groupWhere(STATE, "failed")).toBe("state = 'failed'");
  expect(groupWhere(["param", "lr"], null)).toBe("params.lr is null");
  expect(filterName(["metric", "val/loss"])).toBe("metrics.val/loss");
  expect(both("a = 1 or b = 2", "c = 3")).toBe("(a = 1 or b = 2) and c = 3");
});

test("a completion replaces what is typed of the word", () => {
  expect(complete("metrics.lo < 3", 0, 10, "metrics.loss")).toEqual({ text: "metrics.loss < 3", caret: 13 });
  expect(complete("state = 'fi", 8, 11, "'finished'")).toEqual({ text: "state = 'finished' ", caret: 19 });
  expect(complete("me", 0, 2, "metrics.")).toEqual({ text: "metrics.", caret: 8 });
  const all = ["params.loss_weight", "metrics.loss", "lossy"].map((text) => ({ text, hint: "" }));
  expect(fit(all, "loss").map((one) => one.text)).toEqual(["lossy", "params.loss_weight", "metrics.loss"]);
  expect(fit([{ text: "'adam'", hint: "" }, { text: "'sgd'", hint: "" }], "'ad").map((one) => one.text)).toEqual(["'adam'"]);
});

test("places are the same for the API, which counts characters, and a text box, which counts UTF-16 units", () => {
  const text = "tags.`😀` = 'a";
  expect(toPoints(text, text.indexOf("="))).toBe(text.indexOf("=") - 1);
  for (let at = 0; at <= 6; at += 1) expect(toUnits(text, toPoints(text, at))).toBe(at);
  expect(toUnits(text, 99)).toBe(text.length);
});

test("small charts have gaps where values are not numbers", () => {
  expect(sparkPath({ steps: [0, 1, 2, 3], values: [1, NaN, 0, 1] }, 30, 10)).toBe("M0 0M20 10L30 0");
  expect(sparkPath({ steps: [5], values: [2] }, 30, 10)).toBe("M0 5");
  expect(sparkPath({ steps: [], values: [] }, 30, 10)).toBe("");
});

test("the change against a base is in per cent, where there is one", () => {
  expect(deltaOf(0.5, 0.4)).toBeCloseTo(25);
  expect(deltaOf(-1, -2)).toBe(50);
  expect([deltaText(1.1, 1), deltaText(0.5, 1), deltaText(1, 1), deltaText("x", 1), deltaText(31, 1)]).toEqual(["+10 %", "−50 %", "", "", "×31"]);
  expect([verdict(1, 2, "min"), verdict(1, 2, "max"), verdict(-1, -2, "max"), verdict(1, 2, ""), verdict(1, 1, "min")]).toEqual(["better", "worse", "better", "", ""]);
  expect([deltaOf("NaN", 1), deltaOf(1, 0), deltaOf(1, null)]).toEqual([null, null, null]);
  expect(WINDOW).toBeGreaterThan(100);
});
