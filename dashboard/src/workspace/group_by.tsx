// What runs are grouped by, and how a group is drawn.
import * as charts from "../charts/grid/address";
import type { RunRow } from "../charts/data/runs";
import type { BandKind, Centre } from "../charts/maths/bands";
import { FACT_LABELS } from "../runs/columns";
import { GROUP } from "./address";

const BANDS: readonly [BandKind, string][] = [
  ["minmax", "lowest to highest"],
  ["std", "± standard deviation"],
  ["stderr", "± standard error"],
  ["ci95", "95 % interval"],
  ["none", "no band"],
];

/** What people call "param.lr" or "fact.tag"; other parts of a run say which they are. */
function nameOf(written: string): string {
  const [kind, ...rest] = written.split(".");
  const name = rest.join(".");
  if (kind === "fact") return FACT_LABELS[name] ?? name;
  return kind === "param" ? name : `${name} (${kind})`;
}

export function GroupBy({ runs }: { runs: readonly RunRow[] }) {
  const chosen = GROUP.value[0] ?? "";
  const params = [...new Set(runs.flatMap((run) => Object.keys(run.params).filter((name) => typeof run.params[name] !== "object")))].sort().map((name) => `param.${name}`);
  const options = [...new Set([...params, "fact.group", "fact.tag", "fact.state", "fact.experiment", ...(chosen ? [chosen] : [])])];
  return (
    <div class="group-by">
      <label>
        group by
        <select id="group-by" value={chosen} onChange={(event) => (GROUP.value = event.currentTarget.value ? [event.currentTarget.value] : [])}>
          <option value="">nothing</option>
          {options.map((one) => <option key={one} value={one}>{nameOf(one)}</option>)}
        </select>
      </label>
      {chosen && (
        <>
          <select aria-label="Line of a group" value={charts.CENTRE.value} onChange={(event) => (charts.CENTRE.value = event.currentTarget.value as Centre)}>
            <option value="mean">mean</option>
            <option value="median">median</option>
          </select>
          <select aria-label="Band of a group" value={charts.BAND.value} onChange={(event) => (charts.BAND.value = event.currentTarget.value as BandKind)}>
            {BANDS.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
          </select>
          {charts.X.value !== "step" && <span class="quiet">Groups are drawn over steps.</span>}
        </>
      )}
    </div>
  );
}
