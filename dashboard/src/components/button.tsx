/** Buttons: with words, or an icon alone with its words as tooltip and label. */
import type { ComponentChildren } from "preact";
import { Icon } from "./icon";
import type { IconName } from "./icon";

export interface ButtonProps {
  onClick?: (event: MouseEvent) => void;
  children?: ComponentChildren;
  icon?: IconName;
  /** What it does, in words: of an icon alone, or more than its text says. */
  title?: string;
  kind?: "plain" | "main" | "bare" | "danger";
  pressed?: boolean;
  disabled?: boolean;
  type?: "button" | "submit";
  class?: string;
  id?: string;
}

export function Button({ onClick, children, icon, title, kind = "plain", pressed, disabled, type = "button", class: more, id }: ButtonProps) {
  const alone = children === undefined;
  return (
    <button
      type={type}
      id={id}
      class={`button ${kind}${alone ? " alone" : ""}${more ? ` ${more}` : ""}`}
      title={title}
      aria-label={alone ? title : undefined}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}
