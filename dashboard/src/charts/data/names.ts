// Names of series, and the panels that show them. Pure. Written names: schemas/names.py.

/** A written name without its labels: series that differ only in labels share a panel. */
export function panelOf(series: string): string {
  const at = series.endsWith("}") ? series.indexOf("{") : -1;
  return at > 0 ? series.slice(0, at) : series;
}

/** The labels of a written name, with their braces; "" for none. */
export function labelsOf(series: string): string {
  return series.slice(panelOf(series).length);
}

/** Up to `most` names of series without their labels, each once. */
export function metricsOf(panels: Iterable<Iterable<string>>, most: number): string[] {
  const found = new Set<string>();
  for (const names of panels) {
    for (const name of names) {
      if (found.size >= most) return [...found];
      found.add(panelOf(name));
    }
  }
  return [...found];
}

/** Whether series differ in more than their labels. */
export function isMixed(names: readonly string[]): boolean {
  return names.some((name) => panelOf(name) !== panelOf(names[0]!));
}

/** The section of a panel: what is before its first slash; "" for none. */
export function sectionOf(panel: string): string {
  const at = panel.indexOf("/");
  return at > 0 ? panel.slice(0, at) : "";
}

export interface Section {
  name: string;
  panels: string[];
}

/** How a person arranged panels: names in their order; unknown names count for nothing. */
export interface Arrangement {
  pinned: readonly string[];
  order: readonly string[];
  filter: RegExp | null;
}

const byName = new Intl.Collator("en", { numeric: true }).compare;

/** Put panels into sections: pinned ones first in one of their own, then by prefix; panels that a person moved lead. */
export function sectionsOf(panels: Iterable<string>, { pinned, order, filter }: Arrangement): Section[] {
  const shown = [...panels].filter((panel) => !filter || filter.test(panel));
  const rank = new Map(order.map((panel, at) => [panel, at]));
  const rankOf = (panel: string) => rank.get(panel) ?? Infinity;
  const compare = (a: string, b: string) => (rankOf(a) === rankOf(b) ? byName(a, b) : rankOf(a) - rankOf(b));
  const sections = new Map<string, string[]>();
  for (const panel of shown) {
    if (pinned.includes(panel)) continue;
    const name = sectionOf(panel);
    const inside = sections.get(name);
    if (inside) inside.push(panel);
    else sections.set(name, [panel]);
  }
  const made = [...sections].sort(([a], [b]) => bySection(a, b)).map(([name, inside]) => ({ name, panels: inside.sort(compare) }));
  const top = pinned.filter((panel) => shown.includes(panel));
  return top.length ? [{ name: "pinned", panels: top }, ...made] : made;
}

/** Panels without a prefix first, those of the machine last. */
function bySection(a: string, b: string): number {
  const rank = (name: string) => (name === "" ? 0 : name === "system" ? 2 : 1);
  return rank(a) - rank(b) || byName(a, b);
}

/** Move a panel before another one, in the order that is shown; the whole order of its section is then a person's. */
export function moved(sections: readonly Section[], order: readonly string[], panel: string, before: string): string[] {
  const section = sections.find((one) => one.panels.includes(panel) && one.panels.includes(before));
  if (!section || panel === before) return [...order];
  const isDown = section.panels.indexOf(panel) < section.panels.indexOf(before);
  const rest = section.panels.filter((one) => one !== panel);
  rest.splice(rest.indexOf(before) + (isDown ? 1 : 0), 0, panel);
  return [...order.filter((one) => !rest.includes(one)), ...rest];
}

/** A filter that a person typed, as an expression; text that is none is searched as it stands. null: everything. */
export function filterOf(text: string): RegExp | null {
  if (!text.trim()) return null;
  try {
    return new RegExp(text.trim(), "i");
  } catch {
    return new RegExp(text.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  }
}
