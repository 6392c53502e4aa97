// One series on one canvas: line, band of extremes, marks for what is not finite, read-out under the pointer.

import { columns } from "./points.js";
import { domain, elapsed, linearTicks, logTicks, timeTicks, toPixels, wholeTicks } from "./scale.js";
import { count, moment, value as valueText } from "./format.js";

const LEFT = 56;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 22;
const FONT = "11px system-ui, sans-serif";

/** Draws a series; `onRead(text)` gets what is under the pointer, "" when nothing is. */
export class Chart {
  constructor(canvas, points, { onRead }) {
    this.canvas = canvas;
    this.points = points;
    this.axis = "steps";
    this.log = false;
    this.#onRead = onRead;
    canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.#read(-1));
    canvas.addEventListener("blur", () => this.#read(-1));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #onRead;
  #index = -1;
  #frame = null;

  /** Draw everything anew. */
  draw() {
    const context = this.#prepare();
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const { width, height } = this.#size;
    context.clearRect(0, 0, width, height);
    context.font = FONT;
    const xs = this.points[this.axis];
    const y = domain(this.points.values, this.log);
    this.#frame = this.#plan(xs, y, width, height);
    this.#drawAxes(context, colour, y);
    if (!xs.length) return;
    if (!y) this.#say(context, colour, this.log ? "no value above 0: switch log off" : "no finite value yet");
    const found = columns(xs, this.points.values, this.#frame.from, this.#frame.to, Math.max(2, width - LEFT - RIGHT));
    if (y) this.#drawSeries(context, colour, found);
    this.#drawOdd(context, colour, found);
    this.#drawCursor(context, colour);
  }

  #size = { width: 0, height: 0 };

  #prepare() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth || 320, this.canvas.clientHeight || 180];
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    this.#size = { width, height };
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  #plan(xs, y, width, height) {
    let [from, to] = [Infinity, -Infinity];
    for (const x of xs) {
      if (x < from) from = x;
      if (x > to) to = x;
    }
    const [left, right, bottom] = [LEFT, width - RIGHT, height - BOTTOM];
    const toX = to > from ? (x) => left + ((x - from) / (to - from)) * (right - left) : () => (left + right) / 2;
    const toY = y ? toPixels(y, bottom, TOP, this.log) : () => (bottom + TOP) / 2;
    return { from, to, left, right, bottom, toX, toY };
  }

  #drawAxes(context, colour, y) {
    const { from, to, left, right, bottom, toX, toY } = this.#frame;
    context.strokeStyle = colour("--grid");
    context.fillStyle = colour("--quiet");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of y ? (this.log ? logTicks : linearTicks)(...y, 4) : []) {
      const at = Math.round(toY(tick)) + 0.5;
      if (at < TOP - 2 || at > bottom + 1) continue;
      line(context, left, at, right, at);
      context.fillText(valueText(tick), left - 6, at);
    }
    context.strokeStyle = colour("--axis");
    line(context, left, bottom + 0.5, right, bottom + 0.5);
    if (!(to >= from)) return;
    context.textBaseline = "top";
    const wanted = Math.max(2, Math.floor((right - left) / 80));
    const ticks = this.axis === "steps" ? wholeTicks(from, to, wanted) : timeTicks(to - from, wanted).map((tick) => from + tick);
    for (const tick of ticks) {
      const at = toX(tick);
      const text = this.axis === "steps" ? count(tick) : elapsed(tick - from);
      const half = context.measureText(text).width / 2;
      context.textAlign = "center";
      line(context, Math.round(at) + 0.5, bottom, Math.round(at) + 0.5, bottom + 4);
      context.fillText(text, Math.min(right + RIGHT - half, Math.max(half, at)), bottom + 7);
    }
  }

  #drawSeries(context, colour, found) {
    const { toX, toY, left, right, from, to } = this.#frame;
    const usable = (value) => value !== null && (!this.log || value > 0);
    const place = to > from ? (column) => left + column : () => toX(from);
    const floor = (value) => (this.log && value <= 0 ? null : value);
    context.save();
    context.beginPath();
    context.rect(left - 3, 0, right - left + 6, this.#size.height);
    context.clip();
    context.strokeStyle = colour("--line");
    context.fillStyle = colour("--line");
    context.lineWidth = 1;
    context.globalAlpha = 0.35; // the band: every extreme of every pixel
    context.beginPath();
    for (const one of found) {
      if (one.count < 3 || !usable(one.max)) continue;
      const low = floor(one.min) ?? one.max;
      context.moveTo(place(one.column) + 0.5, toY(low) + 0.5);
      context.lineTo(place(one.column) + 0.5, toY(one.max) - 0.5);
    }
    context.stroke();
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.beginPath();
    const lone = [];
    let open = false;
    found.forEach((one, index) => {
      const values = one.count < 3 ? [one.first, one.last] : [one.last];
      if (!values.every(usable)) {
        open = false;
        return;
      }
      if (one.odd.length) open = false;
      const next = found[index + 1];
      if (!open && (!next || !usable(next.last) || next.odd.length)) lone.push([place(one.column), toY(one.last)]);
      for (const value of values) {
        if (open) context.lineTo(place(one.column), toY(value));
        else context.moveTo(place(one.column), toY(value));
        open = true;
      }
      if (one.odd.length) open = false;
    });
    context.stroke();
    for (const [x, y] of lone) dot(context, x, y, 2.5);
    context.restore();
  }

  #drawOdd(context, colour, found) {
    const { left, bottom, from, to, toX } = this.#frame;
    context.fillStyle = colour("--bad");
    for (const one of found) {
      const x = to > from ? left + one.column : toX(from);
      for (const value of one.odd) {
        if (Number.isNaN(value)) cross(context, colour("--bad"), x, bottom - 4);
        else triangle(context, x, value > 0 ? TOP - 6 : bottom - 1, value > 0 ? 7 : -7);
      }
    }
  }

  #drawCursor(context, colour) {
    if (this.#index < 0 || this.#index >= this.points.length) return;
    const { toX, toY, bottom } = this.#frame;
    const x = toX(this.points[this.axis][this.#index]);
    const value = this.points.values[this.#index];
    context.strokeStyle = colour("--quiet");
    context.setLineDash([3, 3]);
    line(context, x, TOP, x, bottom);
    context.setLineDash([]);
    if (!Number.isFinite(value) || (this.log && value <= 0)) return;
    context.fillStyle = colour("--line");
    dot(context, x, toY(value), 4);
  }

  #say(context, colour, text) {
    const { left, right, bottom } = this.#frame;
    context.fillStyle = colour("--quiet");
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, (left + right) / 2, (bottom + TOP) / 2);
  }

  #point(pixel) {
    if (!this.#frame || !this.points.length) return;
    const { from, to, left, right } = this.#frame;
    const share = Math.min(1, Math.max(0, (pixel - left) / (right - left)));
    this.#read(this.points.nearest(this.axis, from + share * (to - from)));
  }

  #key(event) {
    const last = this.points.length - 1;
    const now = this.#index < 0 ? last : this.#index;
    const page = Math.max(1, Math.round(last / 20));
    const moves = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - page, PageDown: now + page, Home: 0, End: last, Escape: -1 };
    if (!(event.key in moves) || last < 0) return;
    event.preventDefault();
    this.#read(event.key === "Escape" ? -1 : Math.min(last, Math.max(0, moves[event.key])));
  }

  #read(index) {
    if (index === this.#index) return;
    this.#index = index;
    this.draw();
    if (index < 0) return this.#onRead("");
    const { steps, times, values } = this.points;
    return this.#onRead(`step ${count(steps[index])} · ${valueText(values[index])} · ${moment(times[index])}`);
  }
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, Math.PI * 2);
  context.fill();
}

function triangle(context, x, y, height) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x - 4, y + height);
  context.lineTo(x + 4, y + height);
  context.fill();
}

function cross(context, stroke, x, y) {
  context.strokeStyle = stroke;
  context.lineWidth = 1.5;
  line(context, x - 3, y - 3, x + 3, y + 3);
  line(context, x - 3, y + 3, x + 3, y - 3);
}
