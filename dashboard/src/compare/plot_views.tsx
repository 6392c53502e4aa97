// Runs as points (scatter) and as lines over several axes (parallel coordinates).
import { useSignal } from "@preact/signals";
import type { ECharts } from "echarts/core";
import { Problem } from "../components/problem";
import { colourOf } from "../charts/colours";
import { chartColours } from "../charts/grid/colours_of_page";
import { runPage, linkTo, go } from "../state/address";
import { joinList } from "../state/codecs";
import { isDark } from "../state/theme";
import { COLOURS } from "../workspace/address";
import { ACROSS, AXES, UP } from "./address";
import { useAnswer } from "./answer";
import { columnTitle, columnTitles, plotAxis, readColumn, writeColumn, type Cell, type ColumnKey } from "./columns";
import { Plot } from "./plot";
import { parallelOption, scatterOption } from "./plots";

interface ColumnsAnswer {
  columns: { key: [string, string]; types: string[]; runs: number }[];
}

interface TableAnswer {
  run_ids: string[];
  columns: Cell[][];
  total: number | null;
}

/** Which runs a plot shows: at most MOST_PLOTTED. */
export interface PlotQuestion {
  where: string;
  stage: "active" | "all";
}

const MOST_PLOTTED = 1_000;
const MOST_OFFERED = 500;
const NAME: ColumnKey = ["fact", "name"];

/** Columns that may be plotted, and those of them that are while nobody has chosen: what orders runs of a training. */
interface Offered {
  columns: ColumnKey[];
  usual: ColumnKey[];
}

function useColumns({ where }: PlotQuestion): Offered {
  const { value } = useAnswer<ColumnsAnswer>("/v1/runs/columns", { where, limit: MOST_OFFERED });
  const found = value.value?.columns.filter(({ key: [kind] }) => kind === "metric" || kind === "param") ?? [];
  return { columns: found.map((one) => one.key), usual: found.filter(isUsual).map((one) => one.key) };
}

function isUsual({ key: [, name], types }: ColumnsAnswer["columns"][number]): boolean {
  return !name.startsWith("system/") && !types.includes("json");
}

function useRuns(question: PlotQuestion, keys: readonly ColumnKey[]) {
  const body = keys.length ? { ...question, columns: [NAME, ...keys], limit: MOST_PLOTTED, total: true } : null;
  const { value, problem } = useAnswer<TableAnswer>("/v1/runs/table", body);
  const answer = value.value?.columns.length === keys.length + 1 ? value.value : null;
  const theme = isDark.value ? "dark" : "light";
  const runs = (answer?.run_ids ?? []).map((id, at) => ({
    id,
    name: String(answer!.columns[0]![at] || id),
    colour: colourOf(id, theme, COLOURS.value[id]),
  }));
  const axes = columnTitles(keys).map((title, at) => plotAxis(title, answer?.columns[at + 1] ?? []));
  return { runs, axes, total: answer?.total ?? runs.length, problem: problem.value, isReady: answer !== null };
}

function Shown({ shown, total }: { shown: number; total: number }) {
  return shown < total ? <span class="quiet">the first {shown} of {total} runs</span> : <span class="quiet">{total} runs</span>;
}

export function Scatter({ question }: { question: PlotQuestion }) {
  const { columns, usual } = useColumns(question);
  const across = readColumn(ACROSS.value) ?? usual.find(([kind]) => kind === "param") ?? columns[0];
  const up = readColumn(UP.value) ?? usual.find(([kind]) => kind === "metric") ?? columns[1] ?? across;
  const { runs, axes, total, problem, isReady } = useRuns(question, across && up ? [across, up] : []);
  const listen = (plot: ECharts) => plot.on("click", ({ data }) => go(runPage((data as { id: string }).id)));
  return (
    <>
      <p class="compare-tools">
        <Choice label="x" field={ACROSS} chosen={across} columns={columns} />
        <Choice label="y" field={UP} chosen={up} columns={columns} />
        <Shown shown={runs.length} total={total} />
      </p>
      <Problem error={problem} />
      {isReady && <Plot label={`${axes[1]!.title} of runs over ${axes[0]!.title}`} height={520} onReady={listen} option={scatterOption(runs, axes[0]!, axes[1]!, chartColours())} />}
    </>
  );
}

export function Parallel({ question }: { question: PlotQuestion }) {
  const { columns, usual } = useColumns(question);
  const chosen = AXES.value.map(readColumn).filter((key) => key !== null);
  const keys = chosen.length ? chosen : usualAxes(usual);
  const { runs, axes, total, problem, isReady } = useRuns(question, keys);
  const kept = useSignal<readonly number[] | null>(null);
  const listen = (plot: ECharts) =>
    plot.on("axisareaselected", () => {
      const model = plot as unknown as { getModel(): { getSeriesByIndex(at: number): { getRawIndicesByActiveState(state: string): number[] } } };
      kept.value = model.getModel().getSeriesByIndex(0).getRawIndicesByActiveState("active");
    });
  const through = kept.value?.length ? kept.value.map((at) => runs[at]).filter((run) => run !== undefined) : [];
  const toggle = (key: ColumnKey) => {
    const written = writeColumn(key);
    const now = keys.map(writeColumn);
    AXES.value = now.includes(written) ? now.filter((one) => one !== written) : [...now, written];
  };
  return (
    <>
      <p class="compare-tools"><Shown shown={runs.length} total={total} /> <span class="quiet">Drag along an axis to keep the runs through that part.</span></p>
      <details class="axes-chooser">
        <summary>{keys.length} axes</summary>
        {columns.map((key) => (
          <label key={writeColumn(key)}><input type="checkbox" checked={keys.some((one) => writeColumn(one) === writeColumn(key))} onChange={() => toggle(key)} /> {columnTitle(key)}</label>
        ))}
      </details>
      <Problem error={problem} />
      {isReady && <Plot label={`Runs over ${axes.map((axis) => axis.title).join(", ")}`} height={480} onReady={listen} option={parallelOption(runs, axes, chartColours())} />}
      {through.length > 0 && through.length < runs.length && (
        <div class="brushed" role="status">
          <a class="button plain" href={linkTo("/compare", [["runs", joinList(through.map((run) => run.id))]])}>Compare these {through.length} runs</a>
          <a class="button plain" href={linkTo("/workspace", [["runs", joinList(through.slice(0, 100).map((run) => run.id))]])}>Charts of these</a>
          <span class="brushed-names">{through.slice(0, 30).map((run) => <a key={run.id} class="chip" href={runPage(run.id)}>{run.name}</a>)}</span>
        </div>
      )}
    </>
  );
}

/** Axes where a person chose none: parameters, then a metric. */
function usualAxes(columns: readonly ColumnKey[]): ColumnKey[] {
  return [...columns.filter(([kind]) => kind === "param").slice(0, 6), ...columns.filter(([kind]) => kind === "metric").slice(0, 2)];
}

interface ChoiceProps {
  label: string;
  field: { value: string };
  chosen: ColumnKey | undefined;
  columns: readonly ColumnKey[];
}

function Choice({ label, field, chosen, columns }: ChoiceProps) {
  const offered = columns.flatMap(([kind, name]): ColumnKey[] => (kind === "metric" ? [[kind, name], [kind, name, "min"], [kind, name, "max"]] : [[kind, name]]));
  const written = chosen ? writeColumn(chosen) : "";
  const options = offered.map((key) => [writeColumn(key), columnTitle(key)] as const);
  return (
    <label>
      {label}{" "}
      <select value={written} onChange={(event) => (field.value = event.currentTarget.value)}>
        {chosen && !options.some(([value]) => value === written) && <option value={written}>{columnTitle(chosen)}</option>}
        {options.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
      </select>
    </label>
  );
}
