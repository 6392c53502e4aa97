// Lines of a chart by name.
import type { Line } from "../drawing/line";
import { hovered } from "./hover";

const MOST = 24;

export function Legend({ lines }: { lines: readonly Line[] }) {
  const shown = lines.filter((line) => !line.isSuperseded);
  return (
    <ul class="chart-legend">
      {shown.slice(0, MOST).map((line) => (
        <li key={line.key} onPointerEnter={() => (hovered.value = line.owner)} onPointerLeave={() => (hovered.value = null)}>
          <span class="swatch" style={{ background: line.colour }} />
          <span class="cut">{line.label}</span>
        </li>
      ))}
      {shown.length > MOST && <li class="quiet">{shown.length - MOST} more</li>}
    </ul>
  );
}
