// What code says of metrics (`define_metric`), and where their series are drawn. Pure. Rules: schemas/metric_definitions.py.
import { panelOf } from "./names";

/** A definition, as POST /v1/metric-definitions tells it. */
export interface Definition {
  /** A written name, or a pattern in which * stands for any text. */
  name: string;
  /** Title of the chart that it belongs to; "": a chart of its own. */
  panel: string;
  /** Written name of the series that is its x axis; "": the step. */
  x: string;
  unit: string;
  hidden: boolean;
}

/** Panels by title, with the written names of their series. */
export type Panels = ReadonlyMap<string, ReadonlySet<string>>;

/** The definitions of the runs of a page. */
export class Meanings {
  private readonly exact = new Map<string, Definition>();
  private readonly patterns: Definition[];
  private readonly found = new Map<string, Definition | null>();

  /** Of several definitions of one name the first counts. */
  constructor(definitions: readonly Definition[] = []) {
    for (const one of definitions) if (!this.exact.has(one.name)) this.exact.set(one.name, one);
    this.patterns = [...this.exact.values()].filter((one) => one.name.includes("*")).sort(bySpecificity);
    for (const one of this.patterns) this.exact.delete(one.name);
  }

  /** The definition that counts for a series; null without one. */
  of(written: string): Definition | null {
    let found = this.found.get(written);
    if (found === undefined) this.found.set(written, (found = this.search(written)));
    return found;
  }

  /** The title of the panel of a series. */
  panelOf(written: string): string {
    return this.of(written)?.panel || panelOf(written);
  }

  /** Panels of series, hidden ones among them. */
  panels(names: Iterable<string>): Map<string, Set<string>> {
    const panels = new Map<string, Set<string>>();
    for (const name of names) {
      const panel = this.panelOf(name);
      const inside = panels.get(panel);
      if (inside) inside.add(name);
      else panels.set(panel, new Set([name]));
    }
    return panels;
  }

  /** Whether code hides any series. */
  get hides(): boolean {
    return [...this.exact.values(), ...this.patterns].some((one) => one.hidden);
  }

  /** Panels without the series that code hides, and without panels of such series only. */
  shown(panels: Panels): Panels {
    if (!this.hides) return panels;
    const kept = [...panels].map(([panel, names]) => [panel, new Set([...names].filter((name) => !this.of(name)?.hidden))] as const);
    return new Map(kept.filter(([, names]) => names.size));
  }

  /** The series that is the x axis of all these series; "": there is none. */
  xOf(names: readonly string[]): string {
    const all = new Set(names.map((name) => this.of(name)?.x ?? ""));
    return all.size === 1 ? [...all][0]! : "";
  }

  private search(written: string): Definition | null {
    const plain = panelOf(written);
    const named = this.exact.get(written) ?? this.exact.get(plain);
    return named ?? this.patterns.find((one) => fits(one.name, written) || fits(one.name, plain)) ?? null;
  }
}

/** More characters besides * first, then fewer *, then by name. */
function bySpecificity(one: Definition, other: Definition): number {
  const stars = (name: string) => name.split("*").length - 1;
  const others = (name: string) => name.length - stars(name);
  return others(other.name) - others(one.name) || stars(one.name) - stars(other.name) || (one.name < other.name ? -1 : 1);
}

/** Whether a pattern fits a name, in a time of at most the product of their lengths: a RegExp may take for ever. */
function fits(pattern: string, name: string): boolean {
  const [first, ...middle] = pattern.split("*") as [string, ...string[]];
  const last = middle.pop() ?? "";
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  const end = name.length - last.length;
  let at = first.length;
  for (const part of middle) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
