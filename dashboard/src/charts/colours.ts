// Colours of runs: the same run has the same colour on every page and in every session. Pure.

/**
 * Eight hues that people with colour-blindness tell apart (Okabe and Ito, "Color Universal Design", 2008), without
 * black and yellow, which vanish on one of the backgrounds; each in a tone of contrast >= 3:1 on that background
 * (WCAG 2.2, 1.4.11).
 */
const HUES = {
  dark: ["#56b4e9", "#e69f00", "#1fb58f", "#e8709e", "#f0e442", "#ff7f3f", "#8ea2ff", "#b3b3b3"],
  light: ["#0072b2", "#b06a00", "#007a5a", "#b5427a", "#7a6f00", "#c94a00", "#4b4fc4", "#5f5f5f"],
} as const;

export type Theme = keyof typeof HUES;

/** Dashes in CSS pixels: with the hues they make 24 looks. */
export const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3]];

export const COLOURS = HUES.dark.length;

/** FNV-1a (Fowler, Noll, Vo), 32 bits, of the UTF-16 units of a text, with the finish of MurmurHash3 (Appleby). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Colour of a run (or of a group, by its key). `chosen` is a hue or CSS colour that a person gave it. */
export function colourOf(id: string, theme: Theme, chosen?: string): string {
  const hues = HUES[theme];
  if (chosen === undefined) return hues[hashOf(id) % hues.length]!;
  return /^\d+$/.test(chosen) ? hues[Number(chosen) % hues.length]! : chosen;
}

/** Dash of a run: tells runs of one hue apart. */
export function dashOf(id: string): readonly number[] {
  return DASHES[Math.floor(hashOf(id) / COLOURS) % DASHES.length]!;
}
