/** What a cell of the runs table shows. */
import { Delta } from "../components/delta";
import type { Goal } from "../components/delta";
import { Status } from "../components/status";
import { ago, count, duration, moment, value as valueText } from "../components/text";
import { runPage } from "../state/address";
import { now } from "../state/clock";
import { writeKey } from "./columns";
import type { Key } from "./columns";
import type { Row } from "./rows";
import type { Sparks } from "./sparks";
import { sparkPath } from "./sparks";

const TIMES = new Set(["created", "started", "ended", "updated"]);
const SPARK_WIDTH = 116;
const SPARK_HEIGHT = 16;

export interface CellProps {
  row: Row;
  columnKey: Key;
  /** Values of the run that others are compared with. */
  base: Row | null;
  goals: ReadonlyMap<string, Goal>;
  sparks: Sparks;
}

/** The inside of a cell. */
export function Cell({ row, columnKey, base, goals, sparks }: CellProps) {
  const [kind, name] = columnKey;
  const found = row.values[writeKey(columnKey)];
  if (kind === "fact" && name === "name") {
    return (
      <a href={runPage(row.id)} tabIndex={-1} title={row.id}>
        {String(found || row.id)}
      </a>
    );
  }
  if (kind === "fact" && name === "state") return <Status state={String(found ?? "created")} title={String(row.values["fact:message"] ?? "")} />;
  if (kind === "fact" && name === "duration") return <>{durationText(row)}</>;
  if (kind === "fact" && TIMES.has(name)) return typeof found === "number" ? <span title={moment(found)}>{ago(found, now.value)}</span> : null;
  if (kind === "fact" && name === "points" && typeof found === "number") return <>{count(found)}</>;
  if (kind === "spark") return <SparkLine row={row} series={name} sparks={sparks} />;
  if (kind === "metric") {
    const other = base && base.id !== row.id ? base.values[writeKey(columnKey)] : undefined;
    return (
      <>
        <Delta value={found} base={other} goal={columnKey[2] === "count" ? "" : goals.get(name)} />
        <span title={String(found ?? "")}>{valueText(found, other === undefined ? 5 : 3)}</span>
      </>
    );
  }
  const text = valueText(found, 6);
  return <span title={text}>{text}</span>;
}

/** Whether the column's values stand at the right: numbers under each other. */
export function isNumeric([kind, name]: Key, types: readonly string[]): boolean {
  if (kind === "metric") return true;
  if (kind === "fact") return ["points", "attempt", "duration"].includes(name);
  return kind === "param" && types.length > 0 && types.every((type) => type === "int" || type === "float");
}

function durationText({ values }: Row): string {
  const started = values["fact:started"];
  if (typeof started !== "number") return "";
  const ended = values["fact:ended"];
  const end = typeof ended === "number" ? ended : values["fact:state"] === "running" ? now.value * 1000 : Number(values["fact:updated"] ?? started);
  return duration(end - started);
}

function SparkLine({ row, series, sparks }: { row: Row; series: string; sparks: Sparks }) {
  sparks.version.value; // drawn again when points come
  const spark = sparks.of(row.id, series);
  if (!spark) return null;
  return (
    <svg class="spark" viewBox={`0 -2 ${SPARK_WIDTH} ${SPARK_HEIGHT + 4}`} width={SPARK_WIDTH} height={SPARK_HEIGHT + 4} role="img" aria-label={`${series}: ${spark.values.length ? `last ${valueText(spark.values.at(-1))}` : "no points"}`}>
      <path d={sparkPath(spark, SPARK_WIDTH, SPARK_HEIGHT)} fill="none" stroke="currentColor" stroke-width="1.25" vector-effect="non-scaling-stroke" />
    </svg>
  );
}
