// Where runs differ: parameters, tags, environment, code, metrics, attempts, artifacts.
import { Delta, useGoals } from "../components/delta";
import { Problem } from "../components/problem";
import type { RunRow } from "../charts/data/runs";
import { runPage } from "../state/address";
import { BASELINE, CHANGED } from "./address";
import { useAnswer } from "./answer";
import { rowTexts, TIMES } from "./cells";

interface DiffAnswer {
  sections: { name: string; rows: { key: string; values: unknown[]; differs: boolean }[] }[];
  /** Sections of which only the first keys are here. */
  cut: string[];
}

export const MOST_COMPARED = 20;

export function Diff({ runs, round }: { runs: readonly RunRow[]; round: number }) {
  const ids = runs.slice(0, MOST_COMPARED).map((run) => run.run_id);
  const { value, problem } = useAnswer<DiffAnswer>("/v1/runs/diff", ids.length > 1 ? { runs: ids, changed_only: CHANGED.value } : null, round);
  const base = Math.max(0, ids.indexOf(BASELINE.value));
  const hasBaseline = ids.includes(BASELINE.value);
  const sections = value.value?.sections.filter((section) => section.rows.length) ?? [];
  const goals = useGoals(hasBaseline ? BASELINE.value : "", sections.find((one) => one.name === "metrics")?.rows.map((row) => seriesOf(row.key)) ?? []);
  if (ids.length < 2) return <p class="chart-empty">Choose at least two runs.</p>;
  return (
    <>
      <p class="compare-tools">
        <label><input type="checkbox" checked={CHANGED.value} onChange={(event) => (CHANGED.value = event.currentTarget.checked)} /> changed rows only</label>
        <label>
          baseline{" "}
          <select value={hasBaseline ? BASELINE.value : ""} onChange={(event) => (BASELINE.value = event.currentTarget.value)}>
            <option value="">none</option>
            {runs.slice(0, MOST_COMPARED).map((run) => <option key={run.run_id} value={run.run_id}>{run.name || run.run_id}</option>)}
          </select>
        </label>
        {runs.length > MOST_COMPARED && <span class="quiet">the first {MOST_COMPARED} of {runs.length} runs</span>}
        {value.value && value.value.cut.length > 0 && <span class="quiet">Only the first of: {value.value.cut.join(", ")}. The pages of the runs have all of them.</span>}
      </p>
      <Problem error={problem.value} />
      {value.value && !sections.length && <p class="chart-empty">Nothing differs.</p>}
      {sections.length > 0 && (
        <div class="diff-scroll">
          <table class="diff">
            <thead>
              <tr>
                <th scope="col">what</th>
                {runs.slice(0, MOST_COMPARED).map((run) => <th scope="col" key={run.run_id}><a href={runPage(run.run_id)}>{run.name || run.run_id}</a></th>)}
              </tr>
            </thead>
            {sections.map((section) => (
              <tbody key={section.name}>
                <tr><th scope="colgroup" colSpan={ids.length + 1} class="diff-section">{section.name}</th></tr>
                {section.rows.filter((row) => section.name !== "facts" || !SAID.has(row.key)).map((row) => (
                  <DiffRow key={row.key} section={section.name} row={row} base={base} deltas={hasBaseline} goals={goals} />
                ))}
              </tbody>
            ))}
          </table>
        </div>
      )}
    </>
  );
}

interface DiffRowProps {
  section: string;
  row: { key: string; values: unknown[]; differs: boolean };
  base: number;
  /** Show what is larger and smaller than in the run at `base`. */
  deltas: boolean;
  goals: ReturnType<typeof useGoals>;
}

function DiffRow({ section, row: { key, values, differs }, base, deltas, goals }: DiffRowProps) {
  const texts = rowTexts(section, key, values);
  const goal = section === "metrics" && !key.endsWith(".count") ? goals.get(seriesOf(key)) : "";
  return (
    <tr class={differs ? "differs" : ""}>
      <th scope="row">{key}</th>
      {values.map((value, at) => (
        <td key={at} class={at !== base && differs && !isEqual(value, values[base]) ? "other" : ""}>
          {texts[at]}
          {deltas && at !== base && !TIMES.has(key) && <Delta value={value} base={values[base]} goal={goal} />}
        </td>
      ))}
    </tr>
  );
}

function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The series of a row of metrics, such as "val/loss.min". */
function seriesOf(key: string): string {
  return key.slice(0, key.lastIndexOf("."));
}

const SAID = new Set(["name", "began"]); // by the head of the table; by "started" or "created"
