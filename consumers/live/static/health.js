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
  const made = [];
  const lags = new Map();
  for (const one of status.lag) lags.set(one.consumer, (lags.get(one.consumer) || 0) + (one.lag || 0));
  for (const [consumer, lag] of lags) {
    const name = consumer.replace(/^delivery\//, "");
    if (lag > KEEPS_UP) made.push(["busy", `${name}: ${plural(lag, "record")} behind`]);
    else made.push(["good", `${name}: ${lag ? "keeping up" : "up to date"}`]);
  }
  for (const one of status.deliveries) {
    if (one.parked) made.push(["bad", `${one.tracker}: ${plural(one.parked, "run")} parked`, one.last_error]);
    else if (one.paused) made.push(["busy", `${one.tracker}: paused`, `gateway trackers resume ${one.tracker}`]);
    else if (one.state === "circuit open") made.push(["bad", `${one.tracker}: does not answer`, one.last_error]);
    else if (one.last_error) made.push(["busy", `${one.tracker}: retrying`, one.last_error]);
    else if (!lags.has(`delivery/${one.tracker}`)) made.push(["good", `${one.tracker}: ${plural(one.runs, "run")}`]);
  }
  if (status.dead_letters) {
    made.push(["bad", `${count(status.dead_letters)} dead letter${status.dead_letters === 1 ? "" : "s"}`, "see them with: gateway dead-letters list"]);
  }
  return made.length ? made : [["good", "ready"]];
}
