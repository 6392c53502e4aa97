import { describe, expect, it } from "vitest";
import { filterOf, labelsOf, moved, panelOf, sectionOf, sectionsOf } from "./names";

const arranged = { pinned: [], order: [], filter: null };

describe("panels", () => {
  it("join series that differ in labels", () => {
    expect(panelOf("validate/loss{rank=3,subset=a}")).toBe("validate/loss");
    expect(labelsOf("loss{rank=3}")).toBe("{rank=3}");
    expect([panelOf("loss"), panelOf("{odd}"), panelOf("a{b")]).toEqual(["loss", "{odd}", "a{b"]);
    expect([sectionOf("validate/loss"), sectionOf("loss"), sectionOf("/x")]).toEqual(["validate", "", ""]);
  });

  it("lie in sections, in natural order, the machine's last", () => {
    const found = sectionsOf(["system/gpu", "b/x10", "b/x9", "loss", "a/y"], arranged);
    expect(found).toEqual([
      { name: "", panels: ["loss"] },
      { name: "a", panels: ["a/y"] },
      { name: "b", panels: ["b/x9", "b/x10"] },
      { name: "system", panels: ["system/gpu"] },
    ]);
  });

  it("follow pins, a person's order and a filter", () => {
    const all = ["a/1", "a/2", "a/3", "b/1"];
    const order = moved(sectionsOf(all, arranged), [], "a/3", "a/1");
    expect(order).toEqual(["a/3", "a/1", "a/2"]);
    expect(sectionsOf(all, { ...arranged, order })[0]!.panels).toEqual(["a/3", "a/1", "a/2"]);
    expect(moved(sectionsOf(all, { ...arranged, order }), order, "a/3", "a/2")).toEqual(["a/1", "a/2", "a/3"]);
    expect(moved(sectionsOf(all, arranged), order, "a/3", "b/1")).toEqual(order);
    expect(sectionsOf(all, { pinned: ["b/1", "gone"], order: [], filter: filterOf("1$") })).toEqual([
      { name: "pinned", panels: ["b/1"] },
      { name: "a", panels: ["a/1"] },
    ]);
    expect(filterOf("loss(")!.test("my LOSS(x)")).toBe(true);
    expect(filterOf(" ")).toBeNull();
  });
});
