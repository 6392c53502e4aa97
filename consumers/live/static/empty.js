// What a page says while there is nothing to show: the next step, ready to copy.

import { el } from "./dom.js";

const CODE = `import gateway

with gateway.start_run("first"):
    gateway.emit("loss", 0.5, step=0)`;

/** Fill `frame` with what to do on a system without runs. */
export function showNoRuns(frame) {
  frame.replaceChildren(
    el("h2", {}, "No runs yet"),
    el("p", {}, "See the whole story with a real training:"),
    el("pre", {}, el("code", {}, "gateway demo")),
    el("p", {}, "or log from your own script:"),
    el("pre", {}, el("code", {}, CODE)),
    el("p", { class: "quiet" }, "Runs show up here by themselves."),
  );
  frame.hidden = false;
}

/** Fill `frame` with what to do when a run is not known (yet). */
export function showUnknownRun(frame, runId) {
  frame.replaceChildren(
    el("h2", {}, "No such run yet"),
    el("p", {}, "Nothing is known of ", el("code", {}, runId), "."),
    el("p", {}, "This page opens by itself when its first event arrives. Until then: ", el("a", { href: "/" }, "all runs"), "."),
  );
  frame.hidden = false;
}

/** Show what the API said in `frame`, or hide it when `error` is null. */
export function showProblem(frame, error) {
  frame.hidden = !error;
  frame.textContent = error ? `${error.message}${error.next ? `: ${error.next}` : ""}` : "";
}
