/** A button that opens a list of actions: arrows move, Enter chooses, Escape closes. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icon";
import type { IconName } from "./icon";

export interface MenuItem {
  label: ComponentChildren;
  run: () => void;
  icon?: IconName;
  /** A mark before it: it is chosen. */
  chosen?: boolean;
  disabled?: boolean;
  /** Why, or what else it does. */
  hint?: string;
}

export interface MenuProps {
  label?: ComponentChildren;
  icon?: IconName;
  title: string;
  items: readonly MenuItem[] | (() => readonly MenuItem[]);
  class?: string;
  /** Above the items, such as a box to search them. */
  head?: ComponentChildren;
}

export function Menu({ label, icon, title, items, class: more = "", head }: MenuProps) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const close = (event: Event): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", close);
    root.current?.querySelector<HTMLElement>(".menu-list input, .menu-list [role^=menuitem]")?.focus();
    return () => document.removeEventListener("pointerdown", close);
  }, [isOpen]);
  const leave = (): void => {
    setOpen(false);
    root.current?.querySelector<HTMLElement>("button")?.focus();
  };
  const keys = (event: KeyboardEvent): void => {
    if (!isOpen) return;
    if (event.key === "Escape") leave();
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") moveFocus(root.current, event.key === "ArrowDown" ? 1 : -1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class={`menu ${more}`} ref={root} onKeyDown={keys}>
      <button type="button" class={`button ${label === undefined ? "bare alone" : "plain"}`} title={title} aria-label={label === undefined ? title : undefined} aria-haspopup="menu" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {icon && <Icon name={icon} />}
        {label}
      </button>
      {isOpen && (
        <div class="menu-list" role="menu" aria-label={title}>
          {head}
          {(typeof items === "function" ? items() : items).map((item, at) => (
            <button
              key={at}
              type="button"
              class="menu-item"
              role={item.chosen === undefined ? "menuitem" : "menuitemcheckbox"}
              aria-checked={item.chosen}
              disabled={item.disabled}
              title={item.hint}
              onClick={() => {
                if (item.chosen === undefined) leave();
                item.run();
              }}
            >
              <span class="menu-mark">{item.chosen ? <Icon name="check" /> : item.icon ? <Icon name={item.icon} /> : null}</span>
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function moveFocus(root: HTMLElement | null, by: number): void {
  const items = [...(root?.querySelectorAll<HTMLElement>(".menu-list input, .menu-list button:not(:disabled)") ?? [])];
  const at = items.indexOf(document.activeElement as HTMLElement);
  items[(at + by + items.length) % items.length]?.focus();
}
