/**
 * The pages: which addresses they have, and the chunk that draws them.
 *
 * A page is a module whose default export is a component of PageProps; it is loaded when its address is first shown.
 */
import type { ComponentType } from "preact";
import type { IconName } from "../components/icon";

export interface PageProps {
  /** What the parts of the address in braces hold, percent-decoded. */
  params: Readonly<Record<string, string>>;
}

export interface Page {
  /** Path such as "/runs/{id}"; the last brace takes the rest of the path, slashes included. */
  pattern: string;
  title: string;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
  /** In the bar above all pages. */
  nav?: { icon: IconName; keys: string };
  /** Drawn without the frame: embedded, or before a login. */
  bare?: boolean;
}

const runs = () => import("../runs/page");

export const PAGES: readonly Page[] = [
  { pattern: "/", title: "Runs", load: runs, nav: { icon: "runs", keys: "g r" } },
  { pattern: "/workspace", title: "Workspace", load: () => import("../workspace/page"), nav: { icon: "chart", keys: "g w" } },
  { pattern: "/compare", title: "Compare", load: () => import("../compare/page"), nav: { icon: "compare", keys: "g c" } },
  { pattern: "/alerts", title: "Alerts", load: () => import("../alerts/page"), nav: { icon: "bell", keys: "g a" } },
  { pattern: "/system", title: "System", load: () => import("../system/page"), nav: { icon: "system", keys: "g s" } },
  { pattern: "/experiments/{id}", title: "Experiment", load: runs },
  { pattern: "/runs/{id}", title: "Run", load: () => import("../run/page") },
  { pattern: "/login", title: "Log in", load: () => import("../login/page"), bare: true },
  { pattern: "/embed/{what}", title: "Chart", load: () => import("../embed/page"), bare: true },
];
