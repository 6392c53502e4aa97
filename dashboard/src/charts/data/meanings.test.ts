import { describe, expect, it } from "vitest";
import { Meanings, type Definition } from "./meanings";

function said(name: string, more: Partial<Definition> = {}): Definition {
  return { name, panel: "", x: "", unit: "", hidden: false, ...more };
}

describe("what code says of metrics", () => {
  it("is found by the most specific name, labels or not", () => {
    const meanings = new Meanings([said("*"), said("val/*"), said("val/*s"), said("val/loss"), said("val/loss", { unit: "second" })]);
    const names = (written: string) => meanings.of(written)?.name;
    expect(names("val/loss")).toBe("val/loss");
    expect(meanings.of("val/loss")!.unit).toBe("");
    expect(names("val/loss{rank=3}")).toBe("val/loss");
    expect(names("val/misses")).toBe("val/*s");
    expect(names("val/")).toBe("val/*");
    expect(names("a\nb")).toBe("*");
    expect(new Meanings([said("a.b")]).of("axb")).toBeNull();
    const parts = new Meanings([said("a*bc*b")]);
    expect(["abcb", "axbcxb", "abc", "abcab", "abcbc"].map((one) => parts.of(one) !== null)).toEqual([true, true, false, true, false]);
  });

  it("is found at once, whatever the pattern", () => {
    const meanings = new Meanings([said(`${"*a".repeat(50)}*b`)]);
    expect(meanings.of("a".repeat(1_000))).toBeNull();
    expect(meanings.of(`${"a".repeat(1_000)}b`)).not.toBeNull();
  });

  it("puts series into the panel that it names", () => {
    const meanings = new Meanings([said("*/loss", { panel: "Losses" }), said("debug/*", { hidden: true })]);
    const panels = meanings.panels(["train/loss{rank=1}", "val/loss", "lr", "debug/norm"]);
    expect([...panels].map(([panel, names]) => [panel, [...names]])).toEqual([
      ["Losses", ["train/loss{rank=1}", "val/loss"]],
      ["lr", ["lr"]],
      ["debug/norm", ["debug/norm"]],
    ]);
    expect([...meanings.shown(panels).keys()]).toEqual(["Losses", "lr"]);
    expect(new Meanings().shown(panels)).toBe(panels);
  });

  it("hides single series of a panel", () => {
    const meanings = new Meanings([said("a", { panel: "both" }), said("b", { panel: "both", hidden: true })]);
    expect([...meanings.shown(meanings.panels(["a", "b"])).get("both")!]).toEqual(["a"]);
  });

  it("gives a panel an x axis if all of its series have the same one", () => {
    const meanings = new Meanings([said("a", { x: "epoch" }), said("b", { x: "epoch" }), said("c", { x: "tokens" })]);
    expect(meanings.xOf(["a", "b"])).toBe("epoch");
    expect(meanings.xOf(["a", "c"])).toBe("");
    expect(meanings.xOf(["a", "none"])).toBe("");
    expect(meanings.xOf([])).toBe("");
  });
});
