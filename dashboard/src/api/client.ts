/**
 * Questions to the API.
 *
 * `ask` answers or throws ApiError. While the server is away it asks again with growing pauses unless told not to, and
 * the frame says so (`away`). After a write, questions wait until the store has what was written (`min_offsets`), so a
 * page never shows the state before its own change.
 */
import { signal } from "@preact/signals";
import type { ReadonlySignal, Signal } from "@preact/signals";
import { ApiError } from "./errors";
import { covers, latest, parseOffsets, writeOffsets } from "./offsets";
import type { Offsets } from "./offsets";

const ANSWER_MS = 40_000; // a statement may take 30 s; then a server that hangs counts as away
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5_000;
const MOST_WRITES = 3;

const isAway = signal<ApiError | null>(null);
/** Why the API does not answer now; null while it does. */
export const away: ReadonlySignal<ApiError | null> = isAway;

/** Whether the API does not know who asks: the frame shows the login page. */
export const isStranger: Signal<boolean> = signal(false);

/** What a question may say besides its path. */
export interface Question {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  /** Sent as JSON; makes the method POST unless one is given. */
  body?: unknown;
  signal?: AbortSignal;
  /** Ask again while the server is away: only for questions that change nothing. */
  retry?: boolean;
  /** Wait for these offsets, besides those of this page's own writes. */
  minOffsets?: Offsets;
  /** false: the answer does not depend on what is stored, so nothing is waited for. */
  needsFold?: boolean;
}

let csrf = ""; // of the session, from GET /v1/me
const NOTHING: Offsets = new Map();
let written: Offsets = NOTHING; // by this page, and not yet seen in an answer

/** Take the CSRF token of the session; writes with a cookie must send it. */
export function useCsrf(token: string): void {
  csrf = token;
}

/** Headers without which a cookie does not suffice for a request that is no GET. */
export function changing(): Record<string, string> {
  return csrf ? { "X-Gateway-CSRF": csrf } : {};
}

/** Read from the API. Throws ApiError, or the signal's AbortError. */
export async function ask<T>(path: string, question: Question = {}): Promise<T> {
  const retry = question.retry ?? true;
  const wanted = question.needsFold === false ? NOTHING : latest(written, question.minOffsets ?? NOTHING);
  const [asked, sent] = wanted.size ? waiting(path, question, writeOffsets(wanted)) : [path, question];
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      const answer = await send<T>(asked, sent);
      seeAsOf(answer);
      return answer;
    } catch (error) {
      if (!retry || !(error instanceof ApiError) || !error.isAway) throw error;
      await sleep(pause, question.signal);
    }
  }
}

/** Write through the API, once: the key makes a repeated request the same event. Later questions see the change. */
export async function tell<T>(path: string, question: Question): Promise<T> {
  const headers = { "Idempotency-Key": newKey() };
  const answer = await again(() => send<T>(path, question, headers));
  const asOf = (answer as { as_of?: unknown } | undefined)?.as_of;
  if (typeof asOf === "string") written = latest(written, parseOffsets(asOf));
  return answer;
}

/** Put min_offsets where a question takes it: in its body, or in its path. */
function waiting(path: string, question: Question, offsets: string): [path: string, question: Question] {
  if (typeof question.body === "object" && question.body !== null) return [path, { ...question, body: { ...question.body, min_offsets: offsets } }];
  return [`${path}${path.includes("?") ? "&" : "?"}min_offsets=${encodeURIComponent(offsets)}`, question];
}

/** Send a write again whose result is unknown: the API knows its key, and does it once. */
async function again<T>(write: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await write();
    } catch (error) {
      if (tries === MOST_WRITES || !(error instanceof ApiError) || !error.isAway) throw error;
      await sleep(FIRST_PAUSE_MS * tries);
    }
  }
}

function seeAsOf(answer: unknown): void {
  if (!written.size) return;
  const asOf = (answer as { as_of?: unknown } | null)?.as_of;
  if (typeof asOf === "string" && covers(parseOffsets(asOf), written)) written = NOTHING;
}

async function send<T>(path: string, question: Question, headers: Record<string, string> = {}): Promise<T> {
  const method = question.method ?? (question.body === undefined ? "GET" : "POST");
  const init: RequestInit = { method, headers: { Accept: "application/json", ...headers } };
  if (question.body !== undefined) {
    init.body = JSON.stringify(question.body);
    (init.headers as Record<string, string>)["Content-Type"] = "application/json";
  }
  if (method !== "GET") Object.assign(init.headers as Record<string, string>, changing());
  init.signal = AbortSignal.any([AbortSignal.timeout(ANSWER_MS), ...(question.signal ? [question.signal] : [])]);
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(path, init);
    text = await answer.text();
  } catch (error) {
    if (question.signal?.aborted) throw error;
    throw seen(new ApiError(0, "the server of this page does not answer", "start it with `gateway up`; this page goes on by itself"));
  }
  const body = parse(text);
  if (answer.ok) {
    isAway.value = null;
    return body as T;
  }
  throw seen(errorOf(answer.status, body));
}

/** Return the error of an answer that says no. */
export function errorOf(status: number, body: unknown): ApiError {
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const message = typeof fields.error === "string" ? fields.error : `the server answered ${status}`;
  return new ApiError(status, message, typeof fields.next === "string" ? fields.next : "", fields);
}

/** Note whether the API is away, or does not know who asks, as an answer showed. */
export function seen(error: ApiError): ApiError {
  if (error.status === 401) isStranger.value = true;
  isAway.value = [0, 502, 503].includes(error.status) ? error : null; // 504 and 429 are of one question
  return error;
}

/** Note that the API answered. */
export function seenAlive(): void {
  isAway.value = null;
}

/** Wait; ends early, with its reason, when the signal says so. */
export function sleep(ms: number, stop?: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    const abort = (): void => {
      clearTimeout(timer);
      fail(stop?.reason);
    };
    if (stop?.aborted) return void fail(stop.reason);
    const timer = setTimeout(() => {
      stop?.removeEventListener("abort", abort);
      done();
    }, ms);
    stop?.addEventListener("abort", abort, { once: true });
  });
}

function parse(text: string): unknown {
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    return {};
  }
}

function newKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = [...crypto.getRandomValues(new Uint8Array(16))]; // randomUUID exists on https and localhost only
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.map((one) => one.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
