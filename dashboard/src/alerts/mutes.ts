/** Mutes: what the page knows of them, and how it changes them. */
import { signal } from "@preact/signals";
import { ask, tell } from "../api/client";
import { isAborted } from "../api/errors";
import type { MenuItem } from "../components/menu";
import { moment } from "../components/text";
import { toast, toastError } from "../components/toast";
import type { Mute } from "./types";

/** The mutes that are in force. */
export const mutes = signal<readonly Mute[]>([]);

/** Read the mutes. */
export function loadMutes(stop: AbortSignal): void {
  ask<{ mutes: Mute[] }>("/v1/alert-mutes", { signal: stop, retry: false, needsFold: false }).then((answer) => (mutes.value = answer.mutes), (error: unknown) => isAborted(error) || toastError(error));
}

/** Return the mute of a rule, of one run or ("") of every run. */
export function muteOf(ruleId: string, runId = ""): Mute | undefined {
  return mutes.value.find((one) => one.rule_id === ruleId && one.run_id === runId);
}

/** Return until when something is muted, as text. */
export function untilText(mute: Mute): string {
  return mute.until === null ? "muted" : `muted until ${moment(mute.until)}`;
}

/** Return the actions that mute a rule, or one run of it. */
export function muteItems(ruleId: string, runId = ""): MenuItem[] {
  const what = runId ? "this run" : "this rule";
  if (muteOf(ruleId, runId)) return [{ label: `Send firings of ${what} again`, icon: "bell", run: () => void change(ruleId, runId, false, null) }];
  const spans = [["1 hour", 3_600], ["1 day", 86_400], ["good", null]] as const;
  return spans.map(([label, seconds]) => ({ label: `Mute ${what} for ${label}`, icon: "hide" as const, run: () => void change(ruleId, runId, true, seconds) }));
}

async function change(ruleId: string, runId: string, muted: boolean, seconds: number | null): Promise<void> {
  try {
    const answer = await tell<{ mutes: Mute[] }>("/v1/alert-mutes", { body: { rule_id: ruleId, run_id: runId, muted, seconds } });
    mutes.value = answer.mutes;
    toast({ text: muted ? "Muted: what fires is shown here and not sent" : "What fires is sent again" });
  } catch (error) {
    toastError(error);
  }
}
