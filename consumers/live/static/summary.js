// The head of a run's page: what it is, how it stands, with what it ran, and whether everything arrived.

import { el, statusChip } from "./dom.js";
import { count, duration, logTime, moment, plural } from "./format.js";

const MOST_PARAMS = 60;

/** Fill `frame` with the head of a run log. */
export function showSummary(frame, log) {
  const title = el("h1", {}, log.name || log.run_id, " ", statusChip(log.state));
  frame.replaceChildren(
    title,
    ...(log.message ? [el("p", { class: `message message-${log.state}` }, log.message)] : []),
    facts(log),
    ...pairs("Tags", log.tags),
    ...pairs("Parameters", log.parameters),
    ...(log.note ? [el("p", { class: "note" }, log.note)] : []),
    completenessLine(log),
    ...(log.points_dropped ? [el("p", { class: "quiet dropped" }, droppedText(log.points_dropped))] : []),
  );
}

function droppedText(time) {
  return `The points of this run were dropped from PostgreSQL by retention at ${time.slice(0, 19)} UTC: of each series its count, last, lowest and highest value stay.`;
}

/** How long a run took, or has taken until now. */
export function runDuration(log, nowMs) {
  const start = logTime(log.start_time);
  if (start === null) return "";
  const end = logTime(log.end_time) ?? (log.state === "running" ? nowMs * 1000 : null);
  return end === null ? "" : duration(end - start);
}

function facts(log) {
  const start = logTime(log.start_time);
  const rows = [
    ["Run id", log.run_id],
    ["Group", log.group],
    ["Tag", log.tag],
    ["Experiment", log.experiment === log.tag ? "" : log.experiment],
    ["Trash", log.lifecycle_stage === "deleted" ? "in the trash: `gateway runs restore` takes it out" : ""],
    ["Started", start === null ? "" : moment(start)],
    ["Duration", runDuration(log, Date.now())],
    ["Original run", log.original_run_id],
    ["Parent run", log.parent_run_id],
  ].filter(([, text]) => text !== "");
  return el("dl", { class: "facts" }, ...rows.map(([name, text]) => el("div", { "data-fact": name }, el("dt", {}, name), el("dd", {}, text))));
}

function pairs(title, values) {
  const entries = Object.entries(values);
  if (!entries.length) return [];
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  const shown = entries.slice(0, MOST_PARAMS).map(([name, value]) => el("span", { class: "pair" }, el("span", { class: "pair-name" }, name), " ", text(value)));
  const more = entries.length > MOST_PARAMS ? [el("span", { class: "quiet" }, `+${entries.length - MOST_PARAMS} in the run log`)] : [];
  return [el("div", { class: "pairs" }, el("h2", { class: "pairs-title" }, title), ...shown, ...more)];
}

/** Say in one line whether all that was sent has arrived. */
export function completeness(producers) {
  const sum = (pick) => producers.reduce((total, one) => total + pick(one), 0);
  const received = sum((one) => one.received);
  const missing = sum((one) => one.missing.reduce((total, [first, end]) => total + end - first, 0));
  const closed = producers.filter((one) => one.expected !== null);
  const unseen = sum((one) => (one.expected === null ? 0 : Math.max(0, one.expected - one.received)));
  const lost = Math.max(missing, unseen);
  const dropped = sum((one) => one.dropped_points);
  const twice = sum((one) => one.refused_duplicates);
  const isFinal = producers.length > 0 && closed.length === producers.length;
  const expected = sum((one) => one.expected ?? one.received);
  const parts = [isFinal ? `${count(received)} of ${plural(expected, "record")} received` : `${plural(received, "record")} received so far`];
  parts.push(`${count(lost)} missing`, `${plural(twice, "duplicate")} refused`);
  if (dropped) parts.push(`${plural(dropped, "point")} dropped by the producer`);
  parts.push(`from ${plural(producers.length, "producer")}`);
  const kind = lost || dropped ? "bad" : isFinal ? "good" : "busy";
  const word = lost ? "Incomplete" : dropped ? "Points dropped" : isFinal ? "Complete" : "Receiving";
  return { kind, word, text: parts.join(", ") };
}

function completenessLine(log) {
  if (!log.completeness.length) return el("p", { class: "complete quiet" }, "No record received yet.");
  const { kind, word, text } = completeness(log.completeness);
  return el("p", { class: "complete" }, el("span", { class: `chip chip-${kind}` }, word), " ", text);
}
