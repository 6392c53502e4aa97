import { beforeEach, expect, test } from "vitest";
import { change, field, go, linkTo, path, query, redo, runPage, startAddress, undo } from "./address";
import { choice, flag, joinList, json, list, number, splitList, text } from "./codecs";

const words = field("where", text());
const count = field("n", number(5));
let stop = (): void => undefined;

beforeEach(() => {
  stop();
  stop = startAddress();
  go("/", { replace: true });
});

const back = (act: () => boolean): Promise<boolean> =>
  new Promise((done) => {
    addEventListener("popstate", () => done(true), { once: true });
    if (!act()) done(false);
  });

test("a field is what the address says", () => {
  go("/?where=a%20b&n=7");
  expect([words.value, count.value]).toEqual(["a b", 7]);
  words.value = "x = 'ü'";
  expect(query.value.get("where")).toBe("x = 'ü'");
  expect(new URLSearchParams(location.search).get("n")).toBe("7");
  count.value = 5;
  expect(location.search).not.toContain("n=");
});

test("several fields change as one, and the path stays", () => {
  go("/experiments/a%2Fb?n=1");
  change([words.written("w"), count.written(5)]);
  expect(path.value).toBe("/experiments/a%2Fb");
  expect(location.search).toBe("?where=w");
});

test("undo and redo go through the states of one page only", async () => {
  go("/other");
  go("/?n=1");
  count.value = 2;
  count.replace(3);
  count.value = 4;
  expect(await back(undo)).toBe(true);
  expect(count.value).toBe(3); // what was replaced is no state of its own
  expect(await back(undo)).toBe(true);
  expect(count.value).toBe(1);
  expect(undo()).toBe(false); // before it was another page
  expect(await back(redo)).toBe(true);
  expect(count.value).toBe(3);
});

test("values that nobody can have meant are the default", () => {
  for (const wrong of [null, "", "x", "Infinity", "NaN"]) expect(number(5).read(wrong)).toBe(5);
  expect(choice(["a", "b"]).read("c")).toBe("a");
  expect([flag().read("yes"), flag(true).read("0")]).toEqual([false, false]);
  const isNumbers = (found: unknown): found is number[] => Array.isArray(found) && found.every((one) => typeof one === "number");
  expect(json<number[]>([1], isNumbers).read('["a"]')).toEqual([1]);
  expect(json<number[]>([1], isNumbers).read("[2")).toEqual([1]);
  expect(json<number[]>([1], isNumbers).write([1])).toBe(null);
});

test("lists of any text come back as they were", () => {
  for (const items of [[], [""], ["", ""], ["a,b", "\\", "\\e", "x\\,y"], ["ü", " ", "a=b&c"], ["\n"]]) {
    expect(splitList(joinList(items))).toEqual(items);
    expect(list().read(list().write(items))).toEqual(items);
  }
  expect(splitList("a,,b\\")).toEqual(["a", "b\\"]); // what nobody wrote is read somehow
});

test("links name a run whatever its id holds", () => {
  expect(runPage("a/b ?#%")).toBe("/runs/a%2Fb%20%3F%23%25");
  expect(linkTo("/", [["runs", "a,b"], ["x", null]])).toBe("/?runs=a,b");
});
