/** Short messages at the edge of the page: what was done, with a way back; what went wrong stays until it is closed. */
import { signal } from "@preact/signals";
import { ApiError, isAborted } from "../api/errors";
import { Button } from "./button";

const SHOWN_MS = 6_000;

export interface Toast {
  text: string;
  kind?: "done" | "problem";
  /** What to do next, or a way back. */
  next?: string;
  action?: { label: string; run: () => void };
}

const shown = signal<readonly (Toast & { id: number })[]>([]);
let ids = 0;

/** Show a message. */
export function toast(message: Toast): void {
  const id = ++ids;
  shown.value = [...shown.peek().slice(-3), { ...message, id }];
  if (message.kind !== "problem") setTimeout(() => dismiss(id), SHOWN_MS);
}

/** Show what went wrong; what a person ended is no problem. */
export function toastError(error: unknown): void {
  if (isAborted(error)) return;
  const next = error instanceof ApiError ? error.next : "";
  toast({ kind: "problem", text: error instanceof Error ? error.message : String(error), next });
}

function dismiss(id: number): void {
  shown.value = shown.peek().filter((one) => one.id !== id);
}

/** Where the messages are shown; once, in the frame. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown.value.map((one) => (
        <div key={one.id} class={`toast ${one.kind ?? "done"}`}>
          <div>
            {one.text}
            {one.next && <div class="quiet">{one.next}</div>}
          </div>
          {one.action && (
            <Button
              onClick={() => {
                one.action?.run();
                dismiss(one.id);
              }}
            >
              {one.action.label}
            </Button>
          )}
          <Button kind="bare" icon="close" title="Close" onClick={() => dismiss(one.id)} />
        </div>
      ))}
    </div>
  );
}
