/** Who looks at this page: from GET /v1/me, where the API has it. */
import { computed, effect, signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { go } from "../state/address";
import { ask, isStranger, tell, useCsrf } from "./client";
import { ApiError } from "./errors";
import type { Identity } from "./types";

const identity = signal<Identity | null>(null);
/** null: not asked yet, or an API that asks nobody. */
export const me: ReadonlySignal<Identity | null> = identity;
/** Whether this person may change anything. An API that asks nobody lets everybody. */
export const mayWrite: ReadonlySignal<boolean> = computed(() => identity.value?.scopes.includes("write") ?? true);

/** Ask who this is. Somebody whom the API does not know is asked for a token, now and when a session ends later. */
export async function loadSession(): Promise<void> {
  effect(() => void (isStranger.value && showLogin()));
  try {
    take(await ask<Identity>("/v1/me"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // a refusal leaves nobody logged in
  }
}

function take(found: Identity): void {
  useCsrf(found.csrf);
  identity.value = found;
  isStranger.value = false;
}

/** Show the login page, which comes back to the present address. */
export function showLogin(): void {
  if (location.pathname === "/login") return;
  go(`/login?${new URLSearchParams({ to: location.pathname + location.search })}`, { replace: true });
}

/** Begin a session. Throws ApiError where the token is not known. */
export async function login(token: string): Promise<void> {
  take(await tell<Identity>("/v1/login", { body: { token } }));
}

/** End the session. */
export async function logout(): Promise<void> {
  await tell("/v1/logout", { method: "POST" });
  identity.value = null;
  useCsrf("");
  showLogin();
}
