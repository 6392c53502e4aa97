// The first point at which two runs differ: where a refactoring or another machine changed the training.
import { Problem } from "../components/problem";
import { grouped, moment, number } from "../charts/format";
import type { RunRow } from "../charts/data/runs";
import { toNumber } from "../charts/maths/points";
import { ABSOLUTE, A, B, RELATIVE } from "./address";
import { useAnswer } from "./answer";

interface SeriesDivergence {
  series: string;
  step: number | null;
  a: number | string | null;
  b: number | string | null;
  time_a: number | null;
  time_b: number | null;
  compared: number;
  only_a: number;
  only_b: number;
}

interface DivergenceAnswer {
  first: SeriesDivergence | null;
  series: SeriesDivergence[];
  /** Series that both runs have, only one has, or that took too long. */
  compared: number;
  only_a: string[];
  only_b: string[];
  left: string[];
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
              First difference: <b>{answer.first.series}</b> at step <b>{grouped(answer.first.step ?? 0)}</b>: {text(answer.first.a)} and {text(answer.first.b)}
              {answer.first.time_a !== null && answer.first.time_b !== null && `, at ${moment(answer.first.time_a)} and ${moment(answer.first.time_b)}`}
            </>
          ) : (
            `No difference in the ${grouped(answer.compared)} series that both runs have.`
          )}
          {namesText("only in a", answer.only_a)}
          {namesText("only in b", answer.only_b)}
          {namesText("not compared, because it took too long", answer.left)}
        </p>
      )}
      {answer && answer.series.length > 0 && (
        <div class="card divergence-table">
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
        </div>
      )}
    </>
  );
}

const MOST_NAMES = 20;

function namesText(what: string, names: readonly string[]) {
  if (!names.length) return null;
  const more = names.length > MOST_NAMES ? ` and ${grouped(names.length - MOST_NAMES)} more` : "";
  return <span class="quiet divergence-names">{what}: {names.slice(0, MOST_NAMES).join(", ")}{more}</span>;
}

function text(value: number | string | null): string {
  if (value === null) return "";
  return typeof value === "number" ? String(value) : number(toNumber(value)); // every digit that tells them apart
}
