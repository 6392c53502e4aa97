import { expect, test } from "vitest";
import css from "./tokens.css?raw";

const TEXT_ON: readonly (readonly [text: string, grounds: readonly string[]])[] = [
  ["text", ["page", "card", "raised", "sunk", "hover", "chosen"]],
  ["quiet", ["page", "card", "raised", "sunk", "hover", "chosen"]],
  ["link", ["page", "card", "raised", "hover", "chosen"]],
  ["on-main", ["main"]],
  ...["good", "busy", "warn", "bad", "plain"].map((tone) => [tone, [`${tone}-soft`, "card", "page", "hover", "chosen"]] as const),
];
const GRAPHICS_ON: readonly (readonly [mark: string, grounds: readonly string[]])[] = [
  ["edge-strong", ["page", "card"]],
  ["focus", ["page", "card"]],
  ["main", ["page", "card"]],
];

function theme(selector: string): Map<string, string> {
  const block = css.split(`${selector} {`)[1]?.split("}")[0] ?? "";
  return new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((match) => [match[1] ?? "", match[2] ?? ""]));
}

/** Relative luminance and contrast ratio as WCAG 2.2 defines them. */
function contrast(one: string, other: string): number {
  const light = (colour: string): number => {
    const [red, green, blue] = [1, 3, 5].map((at) => {
      const part = parseInt(colour.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
  };
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05);
}

const light = theme(":root");
const dark = new Map([...light, ...theme(':root[data-theme="dark"]')]);

test.each([["light", light], ["dark", dark]] as const)("text and marks of the %s theme can be read (WCAG AA)", (_, colours) => {
  const weak = (pairs: typeof TEXT_ON, least: number): string[] =>
    pairs.flatMap(([mark, grounds]) =>
      grounds.flatMap((ground) => {
        const ratio = contrast(colours.get(mark) ?? "#000000", colours.get(ground) ?? "#000000");
        return ratio < least ? [`${mark} on ${ground}: ${ratio.toFixed(2)}`] : [];
      }),
    );
  expect(weak(TEXT_ON, 4.5)).toEqual([]);
  expect(weak(GRAPHICS_ON, 3)).toEqual([]);
});
