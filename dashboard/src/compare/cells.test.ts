import { describe, expect, it } from "vitest";
import { rowTexts } from "./cells";

describe("cells of differences", () => {
  it("write times and lengths of time as such", () => {
    expect(rowTexts("facts", "duration", [6_900_409, null])).toEqual(["6.9 s", "–"]);
    expect(rowTexts("attempts", "main/1.duration", [6_900_409, 90_000_000])).toEqual(["6.9 s", "1 min 30 s"]);
    expect(rowTexts("params", "duration", [6_900_409])).toEqual(["6,900,409"]);
    expect(rowTexts("facts", "created", [1_000_000_000_000_000])[0]).toMatch(/^2001-09-0\d \d\d:46:40$/);
  });

  it("show all digits where short texts look equal", () => {
    expect(rowTexts("facts", "duration", [6_900_409, 6_900_410, 6_900_409])).toEqual(["6.900409 s", "6.90041 s", "6.900409 s"]);
    const [one, other] = rowTexts("facts", "created", [1_000_000_000_000_001, 1_000_000_000_000_020]);
    expect([one!.slice(-7), other!.slice(-7)]).toEqual([".000001", ".000020"]);
    expect(rowTexts("facts", "duration", [6_900_409, 6_900_409])).toEqual(["6.9 s", "6.9 s"]);
    expect(rowTexts("params", "lr", [0.1, 0.1 + 1e-12])).toEqual(["0.1", String(0.1 + 1e-12)]);
  });
});
