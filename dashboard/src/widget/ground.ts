// Whether a notebook is dark: each has its own way to say so, but all of them colour what is behind an output.

/** Return whether text on the ground behind `element` must be light. */
export function isGroundDark(element: Element): boolean {
  for (let one: Element | null = element; one; one = parentOf(one)) {
    const [red = 0, green = 0, blue = 0, alpha = 1] = numbersOf(getComputedStyle(one).backgroundColor);
    if (alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 128; // luma of ITU-R BT.601
  }
  return matchMedia("(prefers-color-scheme: dark)").matches && getComputedStyle(document.documentElement).colorScheme.includes("dark");
}

/** Call `then` when the notebook may have changed its theme. Returns what ends it. */
export function onTheme(then: () => void): () => void {
  const seen = new MutationObserver(then);
  for (const one of [document.documentElement, document.body]) seen.observe(one, { attributes: true });
  return () => seen.disconnect();
}

function parentOf(element: Element): Element | null {
  return element.parentElement ?? (element.getRootNode() as Partial<ShadowRoot>).host ?? null;
}

function numbersOf(colour: string): number[] {
  if (!colour.startsWith("rgb")) return [0, 0, 0, 0];
  return (colour.match(/[\d.]+/g) ?? []).map(Number);
}
