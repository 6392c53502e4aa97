/** Who looks at this page: from GET /v1/me, where the API has it. */
import { computed, signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { go } from "../state/address";
import { ask, tell, useCsrf } from "./client";
import { ApiError } from "./errors";
import type { Identity } from "./types";

const identity = signal<Identity | null>(null);
/** null: not asked yet, or an API that asks nobody. */
export const me: ReadonlySignal<Identity | null> = identity;
/** Whether this person may change anything. An API that asks nobody lets everybody. */
export const mayWrite: ReadonlySignal<boolean> = computed(() => identity.value?.scopes.includes("write") ?? true);

/** Ask who this is; shows the login page to somebody whom the API does not know. */
export async function loadSession(): Promise<void> {
  try {
    const found = await ask<Identity>("/v1/me");
    useCsrf(found.csrf ?? "");
    identity.value = found;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) showLogin();
  }
}

/** Show the login page, which comes back to the present address. */
export function showLogin(): void {
  if (location.pathname === "/login") return;
  go(`/login?${new URLSearchParams({ to: location.pathname + location.search })}`, { replace: true });
}

/** Begin a session. Throws ApiError where the token is not known. */
export async function login(token: string): Promise<void> {
  await tell("/v1/login", { body: { token } });
  await loadSession();
}

/** End the session. */
export async function logout(): Promise<void> {
  await tell("/v1/logout", { method: "POST" });
  identity.value = null;
  useCsrf("");
  showLogin();
}
