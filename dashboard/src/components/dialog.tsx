/** A dialog over the page: the browser's own, so focus stays inside and Escape closes it. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Button } from "./button";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
  /** Hide the head with the title: it is still the label. */
  bare?: boolean;
}

export function Dialog({ title, onClose, children, class: more = "", bare = false }: DialogProps) {
  const own = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => { // at once: keys that follow go into it
    const before = document.activeElement;
    const dialog = own.current;
    dialog?.showModal();
    return () => {
      if (dialog?.open) dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={own}
      class={`dialog ${more}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === own.current && onClose()}
    >
      <div class="dialog-body">
        {!bare && (
          <header class="dialog-head">
            <h2>{title}</h2>
            <Button kind="bare" icon="close" title="Close (Esc)" onClick={onClose} />
          </header>
        )}
        {children}
      </div>
    </dialog>
  );
}
