// The strip at the top: is everything behind the log well, and if not, which part and why.

import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { count, plural } from "./format.js";

const EVERY_MS = 5000;
const KEEPS_UP = 100; // records behind that are only what is just being written

/** Keep the strip up to date while the page is seen. */
export function watchHealth() {
  const frame = byId("health");
  let shown = "";
  const show = (chips) => {
    const key = JSON.stringify(chips);
    if (key === shown) return; // a screen reader is told of changes only
    shown = key;
    frame.replaceChildren(...chips.map(([kind, text, title]) => el("span", { class: `chip chip-${kind}`, title: title || null }, text)));
  };
  const look = async () => {
    if (!document.hidden) show(await chips());
    setTimeout(look, EVERY_MS);
  };
  look();
}

async function chips() {
  try {
    const health = await get("/healthz", { allow: [503] });
    const missing = Object.entries(health.missing || {});
    if (missing.length) return missing.map(([name, why]) => ["bad", `${NAMES[name] || name} is away`, why]);
    return fromStatus(await get("/v1/status"));
  } catch (error) {
    return [["bad", error.status === 0 ? "server away" : "health unknown", `${error.message}: ${error.next}`]];
  }
}

const NAMES = { postgres: "PostgreSQL", kafka: "Kafka" };

function fromStatus(status) {
  const made = status.problems.map((problem) => ["bad", "status incomplete", problem]);
  const lags = new Map(); // by consumer; null where it is unknown
  for (const { consumer, lag } of status.lag) {
    const before = lags.has(consumer) ? lags.get(consumer) : 0;
    lags.set(consumer, lag === null || before === null ? null : before + lag);
  }
  if (lags.has("materialiser")) made.push(lagChip("materialiser", lags.get("materialiser")));
  for (const one of status.deliveries) made.push(trackerChip(one, lags.get(`delivery/${one.tracker}`) ?? null));
  if (status.dead_letters) {
    made.push(["bad", `${count(status.dead_letters)} dead letter${status.dead_letters === 1 ? "" : "s"}`, "see them with: gateway dead-letters list"]);
  }
  return made.length ? made : [["good", "ready"]];
}

function lagChip(name, lag) {
  if (lag === null) return ["busy", `${name}: lag unknown`, "Kafka does not say where the log ends"];
  if (lag > KEEPS_UP) return ["busy", `${name}: ${behind(lag)}`];
  return ["good", `${name}: ${lag ? "keeping up" : "up to date"}`];
}

const behind = (lag) => (lag === null ? "lag unknown" : `${plural(lag, "record")} behind`);

// What most needs attention. "Up to date" is said only of a tracker that runs and lacks nothing.
function trackerChip(one, lag) {
  const name = one.tracker;
  if (one.parked) return ["bad", `${name}: ${plural(one.parked, "run")} parked`, one.last_error];
  if (one.state === "one-off") return ["plain", `${name}: ${plural(one.runs, "run")} by replay`, "no delivery follows the log for it: gateway replay sent it chosen runs"];
  if (one.state === "stopped") return ["busy", `${name}: stopped, ${behind(lag)}`, "no process delivers to it: see gateway status"];
  if (one.paused) return ["busy", `${name}: paused, ${behind(lag)}`, `gateway trackers resume ${name}`];
  if (one.state === "circuit open") return ["bad", `${name}: does not answer`, one.last_error];
  if (one.last_error) return ["busy", `${name}: retrying`, one.last_error];
  if (one.behind) return ["busy", `${name}: ${plural(one.behind, "run")} still to be sent`, "they are read again from their own offsets"];
  if (!one.follows) return ["busy", `${name}: replay of chosen runs`];
  return lagChip(name, lag);
}
