import { expect, test } from "vitest";
import { offer, commands } from "./commands";
import { sections } from "./help";
import { caps, keyOf, startKeyboard } from "./keyboard";
import { PAGES } from "./pages";
import { rank } from "./palette_search";
import { match, route } from "./router";

test("an address names one page, with what its parts hold", () => {
  expect(route("/", PAGES)?.page.title).toBe("Runs");
  expect(route("/runs/a%2Fb%20ü", PAGES)?.params).toEqual({ id: "a/b ü" });
  expect(route("/runs/a/b\n", PAGES)?.params).toEqual({ id: "a/b\n" });
  expect(route("/runs/%zz", PAGES)?.params).toEqual({ id: "%zz" });
  expect(route("/experiments/7", PAGES)?.page.title).toBe("Experiment");
  for (const path of ["/runs", "/runs/", "/nothing", "//", "/System"]) expect(route(path, PAGES)).toBe(null);
  expect(match("/a.b/{id}", "/axb/1")).toBe(null);
});

test("keys run the command that was offered last, and sequences of two", () => {
  const done: string[] = [];
  startKeyboard();
  const command = (label: string, ...keys: string[]): { label: string; keys: string[]; run: () => void } => ({ label, keys, run: () => done.push(label) });
  const end = [offer([command("old", "j"), command("go", "g r"), command("all", "mod+k")]), offer([command("new", "j")])];
  const press = (key: string, more: KeyboardEventInit = {}, target: EventTarget = document.body): boolean => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  press("j");
  press("g");
  press("r");
  press("k", { ctrlKey: true });
  const box = document.body.appendChild(document.createElement("input"));
  press("j", {}, box);
  press("k", { metaKey: true }, box);
  expect(done).toEqual(["new", "go", "all", "all"]);
  for (const one of end) one();
  expect(commands.value).toEqual([]);
});

test("keys are written one way", () => {
  const key = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };
  expect(keyOf({ ...key, key: "?", shiftKey: true })).toBe("?");
  expect(keyOf({ ...key, key: "J", shiftKey: true })).toBe("shift+j");
  expect(keyOf({ ...key, key: " ", shiftKey: true })).toBe("shift+space");
  expect(keyOf({ ...key, key: "Z", ctrlKey: true, shiftKey: true })).toBe("mod+shift+z");
  expect(caps("g r")).toEqual(["G", "R"]);
});

test("the palette finds by every word, and what begins with it first", () => {
  const all = ["Show column loss", "Loss of all", "Go to runs"].map((label) => ({ label, run: () => undefined }));
  expect(rank("loss", all).map((one) => one.label)).toEqual(["Loss of all", "Show column loss"]);
  expect(rank("column lo", all).map((one) => one.label)).toEqual(["Show column loss"]);
  expect(rank(" ", all)).toHaveLength(3);
});

test("the sheet has every command with keys, by section", () => {
  const found = sections([{ label: "a", keys: ["x"], run: () => undefined }, { label: "b", run: () => undefined }, { label: "c", keys: ["y"], section: "S", run: () => undefined }]);
  expect(found.map(([name, list]) => [name, list.length])).toEqual([["This page", 1], ["S", 1]]);
});
