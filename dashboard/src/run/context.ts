/** A run as short text, for a chat, an issue or a language model. Pure. */
import { duration, moment, value } from "../components/text";
import type { Numeric } from "../api/types";
import { completeness, logTime } from "./log";
import type { RunLog } from "./log";

const MOST = 40; // names of one kind

/** Return what a reader must know to talk about a run: who it is, how it ended, with what it ran, what it reached. */
export function contextOf(log: RunLog, last: Readonly<Record<string, Numeric>>, link: string): string {
  const [start, end] = [logTime(log.start_time), logTime(log.end_time)];
  const list = (title: string, values: Readonly<Record<string, unknown>>): string[] => {
    const all = Object.entries(values);
    if (!all.length) return [];
    const lines = all.slice(0, MOST).map(([name, one]) => `- ${name}: ${value(one, 8)}`);
    return ["", `## ${title}`, ...lines, ...(all.length > MOST ? [`- and ${all.length - MOST} more`] : [])];
  };
  return [
    `# Run ${log.name || log.run_id}`,
    `- id: ${log.run_id}`,
    `- state: ${log.state}${log.message ? ` (${log.message})` : ""}`,
    ...(log.experiment ? [`- experiment: ${log.experiment}`] : []),
    ...(start === null ? [] : [`- began: ${moment(start)}${end === null ? "" : `, took ${duration(end - start)}`}`]),
    `- attempts: ${log.steps.main?.attempts.length ?? 1}`,
    `- record: ${completeness(log.completeness).word.toLowerCase()}`,
    `- page: ${link}`,
    ...list("Best values", log.best),
    ...list("Last values", last),
    ...list("Parameters", log.parameters),
    ...list("Tags", log.tags),
    ...(log.note ? ["", "## Note", log.note] : []),
  ].join("\n");
}
