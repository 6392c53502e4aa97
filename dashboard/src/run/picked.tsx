/** What was printed at the moment of a point of a chart, and the way to it. */
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { isAborted } from "../api/errors";
import type { Reading } from "../charts/drawing/line";
import { number } from "../charts/format";
import { Button } from "../components/button";
import { moment } from "../components/text";
import { useCommands } from "../app/commands";
import { openConsole } from "./address";
import { plainText } from "./console/lines";
import type { Line } from "./console/lines";
import { pathOf } from "./data";

const LINES = 4;

export function Picked({ runId, reading, onClose }: { runId: string; reading: Reading; onClose: () => void }) {
  const { line, index, raw } = reading;
  const time = line.times?.[index];
  const [lines, setLines] = useState<readonly Line[] | null>(null);
  useEffect(() => {
    if (time === undefined) return undefined;
    const stop = new AbortController();
    ask<{ lines: Line[] }>(`${pathOf(runId)}/console?around=${Math.round(time)}&limit=${LINES}`, { signal: stop.signal, retry: false }).then(
      (page) => setLines(page.lines),
      (error) => isAborted(error) || setLines([]),
    );
    return () => stop.abort();
  }, [runId, time]);
  const jump = (): void => {
    if (time !== undefined) openConsole(time);
  };
  useCommands(
    () => [
      { label: "Console at the point that was picked", keys: ["o"], section: "Charts", run: jump },
      { label: "Let go of the point that was picked", keys: ["escape"], section: "Charts", keyOnly: true, run: onClose },
    ],
    [time],
  );
  if (time === undefined) return null;
  return (
    <aside class="picked-bar" aria-label="The point that was picked">
      <div class="picked-head">
        <strong>{line.label}</strong>
        <span>step {number(line.steps?.[index] ?? NaN, 15)}</span>
        <span>{number(raw, 8)}</span>
        <span class="quiet">{moment(time)}</span>
        <Button kind="main" icon="menu" onClick={jump} title="Show the console at that moment (o)">Console at this moment</Button>
        <Button kind="bare" icon="close" title="Close (Esc)" onClick={onClose} />
      </div>
      {lines && lines.length > 0 && (
        <pre class="picked-lines">{lines.map((one) => `${moment(one.time).slice(11)}  ${plainText(one.line)}`).join("\n")}</pre>
      )}
    </aside>
  );
}
