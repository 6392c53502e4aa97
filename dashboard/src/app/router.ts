/** Which page an address names. */
import type { Page } from "./pages";

export interface Route {
  page: Page;
  params: Readonly<Record<string, string>>;
}

/** Return the first page whose pattern fits the path; null: there is none. */
export function route(path: string, pages: readonly Page[]): Route | null {
  for (const page of pages) {
    const params = match(page.pattern, path);
    if (params) return { page, params };
  }
  return null;
}

/** Return what the braces of the pattern hold, or null. A brace at the end takes the rest of the path. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const names: string[] = [];
  const source = pattern.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, (_, name: string, at: number) => {
    names.push(name);
    return at + name.length + 2 === pattern.length ? "(.+)" : "([^/]+)";
  });
  const found = new RegExp(`^${source}$`, "s").exec(path);
  return found && Object.fromEntries(names.map((name, at) => [name, decode(found[at + 1] ?? "")]));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not percent-encoded UTF-8: taken as it stands
  }
}
