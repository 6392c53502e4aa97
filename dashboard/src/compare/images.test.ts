import { describe, expect, it } from "vitest";
import { families, imageAt, imageName, stepsOf } from "./images";

describe("images of runs", () => {
  it("are told apart by their name without the step", () => {
    expect(imageName("samples/epoch_0010.png")).toEqual({ name: "samples/epoch_*.png", step: 10 });
    expect(imageName("v2/mask-7-left.JPG")).toEqual({ name: "v2/mask-*-left.JPG", step: 7 });
    expect(imageName("confusion.png")).toEqual({ name: "confusion.png", step: null });
    expect([imageName("model.pt"), imageName("a.svg"), imageName("png")]).toEqual([null, null, null]);
  });

  it("stand side by side at a step: the newest one up to it", () => {
    const [confusion, samples] = families([["s/10.png", "s/2.png", "notes.txt"], ["s/5.png", "confusion.png"]]);
    expect([confusion!.name, samples!.name]).toEqual(["confusion.png", "s/*.png"]);
    expect(samples!.images.map((all) => all.map((one) => one.step))).toEqual([[2, 10], [5]]);
    expect(stepsOf([confusion!, samples!])).toEqual([2, 5, 10]);
    expect(samples!.images.map((all) => imageAt(all, 4)?.path)).toEqual(["s/2.png", undefined]);
    expect(samples!.images.map((all) => imageAt(all, null)?.path)).toEqual(["s/10.png", "s/5.png"]);
    expect(imageAt(confusion!.images[1]!, 1)?.path).toBe("confusion.png");
  });
});
