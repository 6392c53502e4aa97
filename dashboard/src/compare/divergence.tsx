// The first point at which two runs differ: where a refactoring or another machine changed the training.
import { Problem } from "../components/problem";
import { grouped, moment, number } from "../charts/format";
import type { RunRow } from "../charts/data/runs";
import { toNumber } from "../charts/maths/points";
import { ABSOLUTE, A, B, RELATIVE } from "./address";
import { useAnswer } from "./answer";

interface DivergenceAnswer {
  first: { series: string; step: number; a: number | string; b: number | string; time_a: number; time_b: number } | null;
  series: { series: string; step: number | null; a: number | string | null; b: number | string | null; compared: number; only_a: number; only_b: number }[];
  compared: number;
  exact: boolean;
}

export function Divergence({ runs }: { runs: readonly RunRow[] }) {
  const has = (id: string) => runs.some((run) => run.run_id === id);
  const a = has(A.value) ? A.value : (runs[0]?.run_id ?? "");
  const b = has(B.value) && B.value !== a ? B.value : (runs.find((run) => run.run_id !== a)?.run_id ?? "");
  const body = a && b ? { a, b, absolute: ABSOLUTE.value, relative: RELATIVE.value } : null;
  const { value, problem } = useAnswer<DivergenceAnswer>("/v1/runs/divergence", body);
  const choose = (label: string, field: { value: string }, chosen: string) => (
    <label>
      {label}{" "}
      <select value={chosen} onChange={(event) => (field.value = event.currentTarget.value)}>
        {runs.map((run) => <option key={run.run_id} value={run.run_id}>{run.name || run.run_id}</option>)}
      </select>
    </label>
  );
  const tolerance = (label: string, field: { value: number }) => (
    <label>
      {label}{" "}
      <input class="tolerance" type="text" inputMode="decimal" value={field.value} onChange={(event) => (field.value = Math.abs(Number(event.currentTarget.value)) || 0)} />
    </label>
  );
  const answer = value.value;
  return (
    <>
      <p class="compare-tools">{choose("a", A, a)}{choose("b", B, b)}{tolerance("absolute", ABSOLUTE)}{tolerance("relative", RELATIVE)}</p>
      <Problem error={problem.value} />
      {answer && (
        <p class="divergence-first" role="status">
          {answer.first ? (
            <>
              First difference: <b>{answer.first.series}</b> at step <b>{grouped(answer.first.step)}</b>: {text(answer.first.a)} and {text(answer.first.b)}, at {moment(answer.first.time_a)} and {moment(answer.first.time_b)}
            </>
          ) : (
            `No difference in ${grouped(answer.compared)} points that both runs have.`
          )}
          {!answer.exact && <span class="quiet"> Not every point was compared.</span>}
        </p>
      )}
      {answer && answer.series.length > 0 && (
        <table class="plain-table">
          <thead><tr><th>series</th><th class="num">first difference at step</th><th class="num">a</th><th class="num">b</th><th class="num">points compared</th><th class="num">only a</th><th class="num">only b</th></tr></thead>
          <tbody>
            {answer.series.map((one) => (
              <tr key={one.series}>
                <td>{one.series}</td>
                <td class="num">{one.step === null ? "none" : grouped(one.step)}</td>
                <td class="num">{text(one.a)}</td>
                <td class="num">{text(one.b)}</td>
                <td class="num">{grouped(one.compared)}</td>
                <td class="num">{grouped(one.only_a)}</td>
                <td class="num">{grouped(one.only_b)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function text(value: number | string | null): string {
  return value === null ? "" : number(toNumber(value), 17);
}
