// The module that anywidget loads: it draws the model that gateway/notebook/widget.py keeps. It asks Python alone.
import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { ChartData } from "./data";
import { decode } from "./frame";
import { isGroundDark, onTheme } from "./ground";
import { View, type Look } from "./view";
import "./widget.css";

/** What this uses of a model of anywidget. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(message: unknown): void;
  on(event: string, listener: (...values: never[]) => void): void;
  off(event: string, listener: (...values: never[]) => void): void;
}

let views = 0;

/** Draw the model into `el`. Returns what ends it. */
function draw({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const data = new ChartData((window) => model.send({ kind: "window", ...window }));
  const look = signal(model.get("look") as Look);
  const problem = signal(String(model.get("problem") ?? ""));
  const isDark = signal(isGroundDark(el));
  const take = (bytes: unknown) => {
    const frame = decode(viewOf(bytes));
    if (frame) data.take(frame);
  };
  const onState = () => take(model.get("state"));
  const onMessage = (message: { kind?: string }, buffers: unknown[]) => message?.kind === "frame" && take(buffers?.[0]);
  const onProblem = () => (problem.value = String(model.get("problem") ?? ""));
  model.on("change:state", onState);
  model.on("change:problem", onProblem);
  model.on("msg:custom", onMessage as (...values: never[]) => void);
  const stopTheme = onTheme(() => (isDark.value = isGroundDark(el)));
  const stopLook = effect(() => {
    if (JSON.stringify(look.value) === JSON.stringify(model.get("look"))) return;
    model.set("look", { ...look.value });
    model.save_changes();
  });
  onState();
  render(<View data={data} look={look} problem={problem} isDark={isDark} name={`gateway-${(views += 1)}`} />, el);
  model.send({ kind: "shown" });
  return () => {
    model.off("change:state", onState);
    model.off("change:problem", onProblem);
    model.off("msg:custom", onMessage as (...values: never[]) => void);
    stopTheme();
    stopLook();
    render(null, el);
    model.send({ kind: "hidden" });
  };
}

/** Notebooks give bytes as a DataView, an array or a buffer. */
function viewOf(bytes: unknown): DataView | null {
  if (bytes instanceof ArrayBuffer) return new DataView(bytes);
  return ArrayBuffer.isView(bytes) ? new DataView(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength) : null;
}

export default { render: draw };
