/** Keys to commands. Keys that go into a text box are text, unless Ctrl, Cmd or Alt is held. */
import { commands } from "./commands";

const SEQUENCE_MS = 1_200; // between two keys of one command

/** Write a key as commands name it; "mod" is Cmd on a Mac and Ctrl elsewhere. */
export function keyOf(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  const isLetter = /^[a-z]$/i.test(event.key);
  const parts = [
    event.ctrlKey || event.metaKey ? "mod" : "",
    event.altKey ? "alt" : "",
    event.shiftKey && (isLetter || event.key.length > 1 || event.key === " ") ? "shift" : "",
    event.key === " " ? "space" : event.key.toLowerCase(),
  ];
  return parts.filter(Boolean).join("+");
}

/** Whether `target` takes text. */
export function takesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "range", "button", "color"].includes(target.type);
}

/** Begin to listen; call it once. */
export function startKeyboard(): void {
  let before = "";
  let beforeAt = 0;
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
    if (takesText(event.target) && !hasModifier) return;
    if (document.querySelector("dialog[open]") && !hasModifier) return; // keys of the page behind it
    const isPress = event.target instanceof HTMLElement && event.target.closest("button, a, summary, [role=menu]") !== null;
    if (isPress && !hasModifier && (event.key === " " || event.key === "Enter")) return; // they press what has the focus
    const key = keyOf(event);
    const sequence = event.timeStamp - beforeAt < SEQUENCE_MS ? `${before} ${key}` : "";
    const known = commands.peek();
    const found = known.find((one) => sequence !== "" && one.keys?.includes(sequence)) ?? known.find((one) => one.keys?.includes(key));
    before = found ? "" : key;
    beforeAt = event.timeStamp;
    if (!found) return;
    event.preventDefault();
    found.run();
  });
}

const MAC = /Mac|iPhone|iPad/.test(navigator.userAgent);
const SHOWN: Record<string, string> = {
  mod: MAC ? "⌘" : "Ctrl", alt: "Alt", shift: "Shift", space: "Space", arrowup: "↑", arrowdown: "↓", arrowleft: "←",
  arrowright: "→", enter: "Enter", escape: "Esc", pagedown: "PgDn", pageup: "PgUp", home: "Home", end: "End",
};

/** Return the caps of a key or sequence, as the sheet shows them. */
export function caps(keys: string): string[] {
  return keys.split(" ").flatMap((one) => (one === "+" ? ["+"] : one.split("+"))).map((one) => SHOWN[one] ?? (one.length === 1 ? one.toUpperCase() : one));
}
