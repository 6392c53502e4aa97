import { describe, expect, it } from "vitest";
import { type Cell, columnTitles, plotAxis, readColumn, writeColumn } from "./columns";

describe("columns of plots", () => {
  it("are read as they are written", () => {
    for (const key of [["param", "lr"], ["metric", "a:b"], ["metric", "loss", "min"], ["param", "x:min"]] as const) {
      expect(readColumn(writeColumn(key))).toEqual([...key]);
    }
    expect([readColumn("lr"), readColumn("param:"), readColumn(":x")]).toEqual([null, null, null]);
  });

  it("are numbers, numbers over decades, or categories", () => {
    expect(plotAxis("loss", [1, "NaN", null])).toMatchObject({ categories: null, isLog: false, places: [1, null, null] });
    expect(columnTitles([["param", "lr"], ["metric", "lr"], ["metric", "loss", "min"]])).toEqual(["lr (param)", "lr (metric)", "loss (min)"]);
    expect(plotAxis("lr", [1e-4, 1e-1]).isLog).toBe(true);
    expect(plotAxis("net", ["b", null, "a", true])).toMatchObject({ categories: ["a", "b", "true"], places: [1, null, 0, 2] });
    expect(plotAxis("net", [[64, 32], [64]] as Cell[]).categories).toEqual(["[64,32]", "[64]"]);
  });
});
