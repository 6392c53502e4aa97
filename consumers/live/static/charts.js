// The charts of a run: one card a series, drawn once a frame and only where they are seen.

import { Chart } from "./chart.js";
import { byId, el, setText } from "./dom.js";
import { count, plural, value as valueText } from "./format.js";
import { Points, toNumber } from "./points.js";

const FIRST_SHOWN = 48; // cards shown at once
const MOST_COUNTED = 20000; // names of series that are not loaded

/** The charts of one run: of the series that were loaded, which may be a few of thousands. */
export class Charts {
  constructor(frame, loadMore) {
    this.#loadMore = loadMore;
    this.#frame = frame;
    this.#seen = new IntersectionObserver((entries) => this.#onSeen(entries), { rootMargin: "200px" });
    this.#sizes = new ResizeObserver(() => this.redraw());
    this.#sizes.observe(frame);
    this.#more = el("button", { type: "button", class: "more", onclick: () => this.#showMore() }, "Show more series");
    this.#none = el("p", { class: "quiet" });
    frame.append(this.#none);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  #loadMore;
  #total = 0; // series that match the filter, loaded or not
  #isWhole = false; // all of them are loaded: an unknown one is new
  #isComplete = false; // all series of the run are loaded
  #known = 0; // series of the run
  #unloaded = new Set(); // names met in events only
  #held = null; // events that came while a window was being loaded
  #frame;
  #seen;
  #sizes;
  #more;
  #none;
  #cards = new Map(); // by written name
  #order = [];
  #shown = FIRST_SHOWN;
  #filter = "";
  #axis = "steps";
  #dirty = new Set();
  #planned = false;

  /** How many series are loaded, or asked for by a person. */
  get wanted() {
    return Math.max(this.#cards.size, this.#shown);
  }

  /** Whether every series of the run is loaded. */
  get isComplete() {
    return this.#isComplete;
  }

  /** Forget all series but these. */
  retain(names) {
    const kept = new Set(names);
    for (const [name, card] of this.#cards) {
      if (kept.has(name)) continue;
      this.#seen.unobserve(card.canvas);
      card.root.remove();
      this.#cards.delete(name);
      this.#dirty.delete(card);
    }
    this.#order = this.#order.filter((name) => kept.has(name));
    this.#unloaded.clear();
    this.#isComplete = false;
  }

  /** Keep the events that come from now on, for the series of the window that is being loaded. */
  hold() {
    this.#held = [];
  }

  /** The window is loaded, or cannot be. */
  release() {
    this.#held = null;
  }

  /** Take a window as /v1/runs/{id}/series gives it; what was drawn of its series is replaced. */
  load(page, { match, isWhole }) {
    this.#filter = match.toLowerCase();
    this.#isWhole = isWhole;
    this.#total = page.total;
    if (!match) {
      this.#known = page.total;
      this.#isComplete = isWhole;
    }
    for (const one of page.series) {
      const card = this.#card(one.series);
      card.points = new Points();
      card.points.add(one.points, one.count);
      card.last = one.last;
      card.from = page.as_of;
      card.dropped = page.points_dropped === null ? null : one;
      card.chart.points = card.points;
      this.#unloaded.delete(one.series);
      this.#touch(card);
    }
    const loaded = new Set(page.series.map((one) => one.series));
    for (const event of this.#held || []) this.#take(event, (name) => loaded.has(name));
    this.#arrange();
  }

  /** Take a metrics event. */
  append(event) {
    if (this.#held) this.#held.push(event);
    const before = this.#order.length + this.#unloaded.size;
    this.#take(event, () => true);
    if (this.#order.length + this.#unloaded.size !== before) this.#arrange();
  }

  #take(event, isWanted) {
    for (const one of event.series) {
      if (!isWanted(one.series)) continue;
      const card = this.#cards.get(one.series) || this.#newCard(one.series);
      if (!card || isIn(card.from, event)) continue;
      card.points.add(one.points, one.count);
      card.last = one.points.at(-1)[2];
      this.#touch(card);
    }
  }

  // A series met for the first time is new if all were loaded; otherwise it may be one of those that were not.
  #newCard(name) {
    if (this.#isComplete || (this.#isWhole && this.#matches(name))) {
      this.#total += 1;
      this.#known += 1;
      return this.#card(name);
    }
    if (this.#unloaded.size < MOST_COUNTED) this.#unloaded.add(name);
    return null;
  }

  #matches(name) {
    return this.#filter.split(/\s+/).every((word) => name.toLowerCase().includes(word));
  }

  /** Show the loaded series whose name has every word of `text`; others are loaded then. */
  filter(text) {
    this.#filter = text.toLowerCase();
    this.#isWhole = this.#isComplete; // otherwise once the window of this filter is loaded
    this.#shown = FIRST_SHOWN;
    this.#arrange();
  }

  /** Draw across "step" or "time". */
  across(axis) {
    this.#axis = axis === "time" ? "times" : "steps";
    this.redraw();
  }

  /** Draw everything that is seen anew. */
  redraw() {
    for (const card of this.#cards.values()) this.#touch(card);
  }

  #card(name) {
    const found = this.#cards.get(name);
    if (found) return found;
    const canvas = el("canvas", { tabindex: 0, role: "img", "data-series": name, "data-points": 0, "data-count": 0 });
    const last = el("span", { class: "chart-last" });
    const read = el("output", { class: "chart-read" });
    const log = el("button", { type: "button", class: "toggle", "aria-pressed": "false", title: "logarithmic y axis" }, "log y");
    const root = el(
      "figure",
      { class: "chart", hidden: true },
      el("figcaption", {}, el("span", { class: "chart-name", title: name }, name), last, log),
      canvas,
      read,
    );
    const points = new Points();
    const card = { name, root, canvas, lastText: last, points, last: null, seen: false, read, from: null };
    card.chart = new Chart(canvas, points, {
      onRead: (text) => {
        card.reading = text !== "";
        setText(read, text || summary(card));
      },
    });
    log.addEventListener("click", () => {
      card.chart.log = !card.chart.log;
      log.setAttribute("aria-pressed", String(card.chart.log));
      this.#touch(card);
    });
    canvas.card = card;
    this.#cards.set(name, card);
    this.#order.push(name);
    return card;
  }

  #arrange() {
    this.#order.sort((a, b) => Number(isSystem(a)) - Number(isSystem(b)) || a.localeCompare(b, "en", { numeric: true }));
    const wanted = this.#order.filter((name) => this.#matches(name));
    const visible = new Set(wanted.slice(0, this.#shown));
    let place = null;
    for (const name of this.#order) {
      const card = this.#cards.get(name);
      card.root.hidden = !visible.has(name);
      if (card.root.hidden && !card.root.isConnected) continue; // made when it is first shown
      const expected = place ? place.nextSibling : this.#frame.firstChild;
      if (card.root !== expected) this.#frame.insertBefore(card.root, expected);
      if (!card.observed) {
        card.observed = true;
        this.#seen.observe(card.canvas);
      }
      place = card.root;
    }
    if (this.#frame.lastChild !== this.#more) this.#frame.append(this.#none, this.#more); // moved, it loses a click
    const total = this.#isComplete ? wanted.length : Math.max(this.#total, wanted.length);
    const hidden = total - visible.size;
    this.#more.hidden = hidden <= 0;
    setText(this.#more, `Show more series (${count(hidden)} hidden)`);
    this.#none.hidden = wanted.length > 0 || hidden > 0;
    const known = Math.max(this.#known, this.#order.length, this.#unloaded.size);
    setText(this.#none, known ? "No series has this name: clear the filter." : "No numbers yet: they show here as soon as the run emits some.");
    setText(byId("charts-count"), known ? `${count(known)} series` : "");
  }

  #showMore() {
    const loaded = this.#order.filter((name) => this.#matches(name)).length;
    this.#shown += FIRST_SHOWN;
    if (loaded < this.#shown) this.#loadMore();
    this.#arrange();
  }

  #onSeen(entries) {
    for (const entry of entries) {
      entry.target.card.seen = entry.isIntersecting;
      if (entry.isIntersecting) this.#touch(entry.target.card);
    }
  }

  #touch(card) {
    card.canvas.dataset.points = card.points.length;
    card.canvas.dataset.count = card.points.total;
    this.#dirty.add(card);
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => this.#drawDirty());
  }

  #drawDirty() {
    this.#planned = false;
    for (const card of this.#dirty) {
      if (!card.seen || card.root.hidden) continue;
      card.chart.axis = this.#axis;
      card.chart.draw();
      setText(card.lastText, card.last === null ? "" : valueText(toNumber(card.last)));
      if (!card.reading) setText(card.read, summary(card));
      card.canvas.setAttribute("aria-label", `Chart of ${card.name}: ${summary(card)}. Arrow keys read single points.`);
    }
    this.#dirty.clear();
  }
}

function summary(card) {
  const { points } = card;
  if (card.dropped) return droppedSummary(card.dropped);
  if (!points.length) return "no points";
  let [low, high, odd] = [Infinity, -Infinity, 0];
  for (const value of points.values) {
    if (!Number.isFinite(value)) odd += 1;
    else {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const range = low <= high ? ` · min ${valueText(low)} · max ${valueText(high)}` : "";
  const strange = odd ? ` · ${plural(odd, "mark")} NaN or infinite` : "";
  return `${plural(points.total, "point")}${range}${strange}`;
}

function droppedSummary({ count: total, min, max }) {
  const range = min === null ? "" : ` · min ${valueText(toNumber(min))} · max ${valueText(toNumber(max))}`;
  return `${plural(total, "point")} dropped by retention${range}`;
}

// Whether a snapshot as of a position has an event already.
function isIn(from, event) {
  return from !== null && event.partition === from.partition && event.offset < from.offset;
}

function isSystem(name) {
  return name.startsWith("system/");
}
