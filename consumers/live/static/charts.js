// The charts of a run: one card a series, drawn once a frame and only where they are seen.

import { Chart } from "./chart.js";
import { byId, el, setText } from "./dom.js";
import { count, plural, value as valueText } from "./format.js";
import { Points, toNumber } from "./points.js";

const FIRST_SHOWN = 48; // cards made at once; a run may have thousands of series

/** Every chart of one run. */
export class Charts {
  constructor(frame) {
    this.#frame = frame;
    this.#seen = new IntersectionObserver((entries) => this.#onSeen(entries), { rootMargin: "200px" });
    this.#sizes = new ResizeObserver(() => this.redraw());
    this.#sizes.observe(frame);
    this.#more = el("button", { type: "button", class: "more", onclick: () => this.#showMore() }, "Show more series");
    this.#none = el("p", { class: "quiet" });
    frame.append(this.#none);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

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

  /** Take series as /v1/runs/{id}/series gives them; what was drawn before is replaced. `dropped`: only their summaries are there. */
  load(series, dropped = false) {
    for (const one of series) {
      const card = this.#card(one.series);
      card.points = new Points();
      card.points.add(one.points, one.count);
      card.last = one.last;
      card.dropped = dropped ? one : null;
      card.chart.points = card.points;
      this.#touch(card);
    }
    this.#arrange();
  }

  /** Take the series of one metrics event. */
  append(series) {
    const before = this.#order.length;
    for (const one of series) {
      const card = this.#card(one.series);
      card.points.add(one.points, one.count);
      card.last = one.points.at(-1)[2];
      this.#touch(card);
    }
    if (this.#order.length !== before) this.#arrange();
  }

  /** Show the series whose name has every word of `text`. */
  filter(text) {
    this.#filter = text.toLowerCase();
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
    const card = { name, root, canvas, lastText: last, points, last: null, seen: false, read };
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
    const words = this.#filter.split(/\s+/).filter(Boolean);
    const wanted = this.#order.filter((name) => words.every((word) => name.toLowerCase().includes(word)));
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
    this.#frame.append(this.#none, this.#more);
    this.#more.hidden = wanted.length <= this.#shown;
    setText(this.#more, `Show more series (${wanted.length - this.#shown} hidden)`);
    this.#none.hidden = wanted.length > 0;
    setText(this.#none, this.#order.length ? "No series has this name: clear the filter." : "No numbers yet: they show here as soon as the run emits some.");
    setText(byId("charts-count"), this.#order.length ? `${count(this.#order.length)} series` : "");
  }

  #showMore() {
    this.#shown += FIRST_SHOWN;
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

function isSystem(name) {
  return name.startsWith("system/");
}
