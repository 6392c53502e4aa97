// Questions to the API, and the event stream.

/** An answer that says no, in the API's own words. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.error || `the server answered ${status}`);
    this.status = status;
    this.next = body.next || "";
  }
}

const ANSWER_MS = 30000; // then a server that hangs counts as away

/** Ask the API. Throws ApiError, also when the server cannot be reached (status 0). */
export async function get(path, options = {}) {
  return (await getFolded(path, options)).body;
}

/** Ask the API; the answer comes with how far the log was folded when it was made, next offset by partition. */
export async function getFolded(path, { allow = [] } = {}) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(ANSWER_MS) });
  } catch {
    throw new ApiError(0, {
      error: "the server of this page does not answer",
      next: "start it with gateway up; this page goes on by itself",
    });
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok && !allow.includes(answer.status)) throw new ApiError(answer.status, body);
  const folded = new Map((answer.headers.get("X-Folded") || "").split(",").map((part) => part.split(":").map(Number)));
  return { body, folded };
}

/** The newest event seen of each partition: an answer that was folded before it must be asked for again. */
export class Newest {
  #offsets = new Map();

  see(event) {
    this.#offsets.set(event.partition, event.offset);
  }

  /** As min_offsets of a question whose answer is to include all of them; "" for none. */
  text() {
    return [...this.#offsets].map(([partition, offset]) => `${partition}:${offset + 1}`).join(",");
  }

  isIn(folded) {
    return [...this.#offsets].every(([partition, offset]) => (folded.get(partition) ?? 0) > offset);
  }
}

/** The address of a run's page. */
export function runPage(runId) {
  return `/runs/${encodeURIComponent(runId)}`;
}

/** The address of a run in the API. */
export function runApi(runId) {
  return `/v1/runs/${encodeURIComponent(runId)}`;
}

const LEAST_WAIT_MS = 150; // events come in bursts: one question for each burst
const LOST_AFTER_MS = 2000;
const HIDDEN_AFTER_MS = 20000;
const SILENT_MS = 15000; // the server sends a sign of life every 5 s: after this one that hangs counts as gone
const LOOK_MS = 1000;

/**
 * Follow the event stream. `onEvent(event)` gets each event; `onState("live" | "reconnecting")` what to show.
 *
 * A short break heals by itself: the browser reconnects from its last position. `onLost()` is called, once, when
 * the stream cannot go on (server gone or log anew), and when the page is seen again after having been hidden: then the
 * page loads afresh and follows again. A hidden page holds no connection: browsers allow six to a server.
 */
export function follow(params, { onEvent, onState, onLost }) {
  const source = new EventSource(`/v1/stream?${new URLSearchParams(params)}`);
  let hideTimer = 0;
  let over = false;
  let heard = performance.now();
  const hear = () => (heard = performance.now());
  const look = setInterval(() => {
    if (document.hidden || source.readyState === EventSource.CLOSED || performance.now() - heard < SILENT_MS) return;
    onState("reconnecting");
    lose(0);
  }, LOOK_MS);
  const stop = () => {
    over = true;
    clearInterval(look);
    source.close();
    clearTimeout(hideTimer);
    document.removeEventListener("visibilitychange", onVisibility);
  };
  const lose = (afterMs) => {
    stop();
    setTimeout(onLost, afterMs);
  };
  const onVisibility = () => {
    clearTimeout(hideTimer);
    hear(); // a page that was hidden has not listened
    if (document.hidden) hideTimer = setTimeout(() => source.close(), HIDDEN_AFTER_MS);
    else if (source.readyState === EventSource.CLOSED) lose(0);
  };
  source.onopen = () => {
    hear();
    onState("live");
  };
  source.addEventListener("alive", hear);
  source.onmessage = (message) => {
    hear();
    onEvent(JSON.parse(message.data));
  };
  source.onerror = () => {
    if (over) return;
    onState("reconnecting");
    if (source.readyState === EventSource.CLOSED && !document.hidden) lose(LOST_AFTER_MS);
  };
  document.addEventListener("visibilitychange", onVisibility);
  return stop;
}

/**
 * Return a function that runs `work` soon, at most once each `everyMs` (or what a call gives instead); a call while
 * it waits or runs is not lost.
 */
export function paced(work, everyMs) {
  let timer = 0;
  let running = false;
  let wanted = Infinity; // ms after the last start at which it is to run again
  let last = -Infinity;
  const run = async () => {
    running = true;
    wanted = Infinity;
    last = performance.now();
    try {
      await work();
    } finally {
      running = false;
      const again = wanted;
      wanted = Infinity;
      if (again < Infinity) plan(again);
    }
  };
  const plan = (afterMs) => {
    if (afterMs >= wanted) return;
    wanted = afterMs;
    if (running) return;
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(LEAST_WAIT_MS, last + afterMs - performance.now()));
  };
  return (afterMs = everyMs) => plan(afterMs);
}
