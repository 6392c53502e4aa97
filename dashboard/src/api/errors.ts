/** An answer that says no, in the API's own words. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0: the server did not answer. */
    readonly status: number,
    message: string,
    /** What to do next, "" where the API does not say. */
    readonly next: string = "",
    /** The whole answer: a wrong filter has `position` and `end`. */
    readonly body: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }

  /** Whether the same question may be answered a moment later. */
  get isAway(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504 || this.status === 429;
  }
}

/** Whether `error` says only that somebody ended the question. */
export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
