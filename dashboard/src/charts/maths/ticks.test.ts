import { describe, expect, it } from "vitest";
import { clockTexts, clockTicks, durationTexts, TIME_STEPS } from "./ticks";

const at = (text: string) => new Date(text).getTime() / 1_000;

describe("ticks of time", () => {
  it("lie on whole steps of the reader's clock, written for 24 hours, with the day where it changes", () => {
    const ticks = clockTicks(at("2026-11-30T22:10:00"), at("2026-12-01T02:10:00"), 3_600);
    expect(clockTexts(ticks, 3_600)).toEqual(["23:00\n2026-11-30", "00:00\n2026-12-01", "01:00", "02:00"]);
    const days = clockTicks(at("2026-11-29T12:00:00"), at("2026-12-01T12:00:00"), 86_400);
    expect(clockTexts(days, 86_400)).toEqual(["2026-11-30", "2026-12-01"]);
    expect(clockTexts([at("2026-11-30T14:05:07.2"), at("2026-11-30T14:05:07.4")], 0.2)).toEqual(["14:05:07.2\n2026-11-30", "14:05:07.4"]);
  });

  it("of lengths are as exact as their distance: no two read the same", () => {
    expect(durationTexts([0, 0.5, 1], 0.5)).toEqual(["0.0 s", "0.5 s", "1.0 s"]);
    expect(durationTexts([308.2, 308.4], 0.2)).toEqual(["5:08.2", "5:08.4"]);
    expect(durationTexts([0, 300, 600], 300)).toEqual(["0 min", "5 min", "10 min"]);
    expect(durationTexts([3_600, 5_400, 90_000], 1_800)).toEqual(["1:00 h", "1:30 h", "1 d 1:00 h"]);
    expect(durationTexts([86_400, 172_800], 86_400)).toEqual(["1 d", "2 d"]);
    for (const step of TIME_STEPS)
      for (const start of [0, 59, 3_599, 86_399, 1e6]) {
        const ticks = [0, 1, 2, 3, 4].map((count) => (Math.ceil(start / step) + count) * step);
        expect(new Set(durationTexts(ticks, step)).size, `${step} from ${start}`).toBe(5);
        if (step < 10_000) expect(new Set(clockTexts(ticks, step)).size, `${step} from ${start}`).toBe(5);
      }
  });
});
