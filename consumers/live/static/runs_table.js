// The table of runs: one row a run, of which only the cells that change are touched.

import { runPage } from "./api.js";
import { el, setText, statusChip } from "./dom.js";
import { ago, count, duration, moment, value as valueText } from "./format.js";

const LAST_SHOWN = 4;
const STATE_OF_KIND = {
  run_created: "created",
  run_started: "running",
  run_resumed: "running",
  run_reopened: "running",
  run_finished: "finished",
  run_failed: "failed",
  run_killed: "killed",
};

/** Rows by run id, newest first. */
export class RunsTable {
  constructor(table) {
    this.#body = table.tBodies[0];
  }

  #body;
  #rows = new Map();
  #words = [];

  /** Take the list as the API gives it: rows come, go and change until they fit. */
  load(runs) {
    const ids = new Set(runs.map((run) => run.run_id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.root.remove();
      this.#rows.delete(id);
    }
    let next = this.#body.firstElementChild;
    for (const run of runs) {
      const row = this.#rows.get(run.run_id) ?? this.#make(run);
      row.run = run;
      this.#show(row);
      if (row.root === next) next = next.nextElementSibling;
      else this.#body.insertBefore(row.root, next);
    }
  }

  /** Take one event of the stream: what can be shown at once is shown at once. */
  take(event) {
    const row = this.#rows.get(event.run_id);
    if (!row) return;
    if (event.kind in STATE_OF_KIND) row.run.state = STATE_OF_KIND[event.kind];
    else if (row.run.state === "lost") row.run.state = "running"; // it speaks again
    for (const one of event.series || []) {
      if (one.series in row.run.last || Object.keys(row.run.last).length < 12) row.run.last[one.series] = one.points[0][2];
    }
    this.#plan(row);
  }

  /** Show the rows in which every word occurs. */
  filter(text) {
    this.#words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.#rows.values()) this.#match(row);
  }

  /** Let the clocks of rows that run go on. */
  tick() {
    for (const row of this.#rows.values()) if (!row.root.hidden) this.#showTimes(row);
  }

  /** How many rows there are, and how many of them the filter lets through. */
  counts() {
    let shown = 0;
    for (const row of this.#rows.values()) if (!row.root.hidden) shown += 1;
    return { shown, total: this.#rows.size };
  }

  #waiting = new Set();

  #plan(row) {
    if (!this.#waiting.size) {
      requestAnimationFrame(() => {
        for (const one of this.#waiting) if (this.#rows.get(one.run.run_id) === one) this.#show(one);
        this.#waiting.clear();
      });
    }
    this.#waiting.add(row);
  }

  #make(run) {
    const cell = (name, className = "") => el("td", { class: `c-${name} ${className}` });
    const link = el("a", { href: runPage(run.run_id) });
    const id = el("span", { class: "run-id" });
    const row = {
      run,
      link,
      id,
      state: cell("state"),
      group: cell("group"),
      tag: cell("tag"),
      started: cell("started"),
      duration: cell("duration", "num"),
      points: cell("points", "num"),
      last: cell("last"),
    };
    row.root = el("tr", {}, row.state, el("td", { class: "c-run" }, link, id), row.group, row.tag, row.started, row.duration, row.points, row.last);
    this.#rows.set(run.run_id, row);
    return row;
  }

  #show(row) {
    const { run } = row;
    setText(row.link, run.name || run.run_id);
    setText(row.id, run.name && run.name !== run.run_id ? run.run_id : "");
    if (row.shownState !== run.state) {
      row.shownState = run.state;
      row.state.replaceChildren(statusChip(run.state));
    }
    row.state.title = run.message;
    setTitled(row.group, run.group);
    setTitled(row.tag, run.tag);
    setText(row.points, count(run.points));
    this.#showLast(row);
    this.#showTimes(row);
    this.#match(row);
  }

  #showLast(row) {
    const names = Object.keys(row.run.last);
    const texts = names.slice(0, LAST_SHOWN).map((name) => [name, valueText(row.run.last[name], 4)]);
    if (names.length > LAST_SHOWN) texts.push([`+${names.length - LAST_SHOWN}`, ""]);
    const key = JSON.stringify(texts);
    if (row.shownLast === key) return;
    row.shownLast = key;
    row.last.replaceChildren(...texts.map(([name, text]) => el("span", { class: "pair" }, el("span", { class: "pair-name" }, name), " ", text)));
    row.last.title = names.map((name) => `${name} ${valueText(row.run.last[name])}`).join("\n");
  }

  #showTimes(row) {
    const { run } = row;
    const start = run.started ?? run.created;
    const nowMs = Date.now();
    setText(row.started, ago(start, nowMs));
    row.started.title = moment(start);
    const end = run.ended ?? (run.state === "running" ? nowMs * 1000 : run.updated);
    setText(row.duration, run.started === null ? "" : duration(end - start));
  }

  #match(row) {
    if (!this.#words.length) {
      row.root.hidden = false;
      return;
    }
    const text = searchText(row.run);
    row.root.hidden = !this.#words.every((word) => text.includes(word));
  }
}

function searchText(run) {
  const pairs = [...Object.entries(run.tags), ...Object.entries(run.params)].map(([name, item]) => `${name}=${typeof item === "object" ? JSON.stringify(item) : item}`);
  return [run.run_id, run.name, run.group, run.tag, run.state, ...pairs].join("\n").toLowerCase();
}

function setTitled(cell, text) {
  setText(cell, text);
  cell.title = text;
}
