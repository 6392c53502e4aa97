/** Changes of a run that people make on its page. */
import { tell } from "../api/client";
import { toast, toastError } from "../components/toast";
import { pathOf } from "./data";

/** What the API takes: see schemas/api/edits.py. */
export interface Change {
  name?: string;
  note?: string;
  stage?: "active" | "deleted";
  tags?: Record<string, string | null>;
  params?: Record<string, unknown>;
}

/** Write a change; `undo` takes it back by a button. Throws what the API refuses, for the place where it was typed. */
export async function edit(runId: string, change: Change, { done, undo, again }: { done: string; undo?: Change; again: () => void }): Promise<void> {
  await tell(`${pathOf(runId)}/edits`, { body: change });
  again();
  if (!undo) return toast({ text: done });
  const back = (): void => void edit(runId, undo, { done: "It is as it was", again }).catch(toastError);
  toast({ text: done, action: { label: "Undo", run: back } });
}

/** A parameter as a person types it: JSON where it is some, else the text itself. */
export function typedValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A parameter as it is typed: what `typedValue` reads back unchanged. */
export function writtenValue(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  return typedValue(value) === value ? value : JSON.stringify(value);
}
