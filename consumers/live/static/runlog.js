// The run log as a tree to open and close. Built level by level as it is opened: a log may hold millions of values.

import { el } from "./dom.js";
import { plural } from "./format.js";

const MOST_ITEMS = 100; // shown of one level
const OPEN_LEVELS = { steps: 2, parameters: 1, completeness: 0 };

/** Fill `frame` with the document; what a reader opened stays open. */
export function showTree(frame, document) {
  const open = new Set([...frame.querySelectorAll("details[open]")].map((one) => one.dataset.path));
  const known = new Set([...frame.querySelectorAll("details")].map((one) => one.dataset.path));
  const isOpen = (path, key, level) => (known.has(path) ? open.has(path) : level < (OPEN_LEVELS[path.split("\u0000")[1]] ?? 0));
  const top = frame.scrollTop;
  frame.replaceChildren(...Object.entries(document).map(([name, value]) => node(name, value, `\u0000${name}`, 0, isOpen)));
  frame.scrollTop = top;
}

function node(name, value, path, level, isOpen) {
  if (value === null || typeof value !== "object") return leaf(name, value);
  const entries = Object.entries(value);
  if (!entries.length) return leaf(name, Array.isArray(value) ? [] : {});
  const children = el("div", { class: "tree-children" });
  const fill = () => {
    if (children.childNodes.length) return;
    for (const [key, item] of entries.slice(0, MOST_ITEMS)) children.append(node(key, item, `${path}\u0000${key}`, level + 1, isOpen));
    if (entries.length > MOST_ITEMS) children.append(el("div", { class: "quiet" }, `… ${entries.length - MOST_ITEMS} more in the raw JSON`));
  };
  const opened = isOpen(path, name, level);
  if (opened) fill();
  const words = Array.isArray(value) ? plural(entries.length, "item") : plural(entries.length, "entry").replace("entrys", "entries");
  const title = el("summary", {}, el("span", { class: "tree-key" }, name), " ", el("span", { class: "quiet" }, hint(value) || words));
  return el("details", { "data-path": path, open: opened, ontoggle: fill }, title, children);
}

// A step or an attempt shows how it went before it is opened.
function hint(value) {
  if (typeof value.status === "string") return value.status;
  return "";
}

function leaf(name, value) {
  const kind = value === null ? "null" : typeof value;
  const text = value === null ? "null" : typeof value === "object" ? (Array.isArray(value) ? "[]" : "{}") : value === "" ? '""' : String(value);
  return el("div", { class: "tree-leaf" }, el("span", { class: "tree-key" }, name), " ", el("span", { class: `tree-value tree-${kind}` }, text));
}
