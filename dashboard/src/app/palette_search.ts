/** What the palette finds for words. */
import { ask } from "../api/client";
import type { Command } from "./commands";

const MOST_RUNS = 12;

/** A run as the palette names it. */
export interface FoundRun {
  run_id: string;
  name: string;
  state: string;
}

/** Return the commands in whose label or section every word occurs; those whose label begins with one come first. */
export function rank(words: string, commands: readonly Command[]): Command[] {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = commands.filter((one) => {
    const text = `${one.label} ${one.section ?? ""}`.toLowerCase();
    return parts.every((part) => text.includes(part));
  });
  const first = parts[0];
  if (first === undefined) return fits;
  const place = (one: Command): number => {
    const at = one.label.toLowerCase().indexOf(first);
    return at === 0 ? 0 : at > 0 && one.label[at - 1] === " " ? 1 : 2;
  };
  return fits.map((one, at) => ({ one, at, place: place(one) })).sort((a, b) => a.place - b.place || a.at - b.at).map(({ one }) => one);
}

/** Return the runs in whose name or id the words occur, newest first. */
export async function findRuns(words: string, signal: AbortSignal): Promise<readonly FoundRun[]> {
  const text = words.trim();
  if (text === "") return [];
  const pattern = quote(`%${text.replace(/[\\%_]/g, "\\$&")}%`);
  const where = `name ILIKE ${pattern} or run_id LIKE ${pattern}`;
  const answer = await ask<{ runs: FoundRun[] }>(`/v1/runs?${new URLSearchParams({ where, limit: String(MOST_RUNS) })}`, { signal, retry: false });
  return answer.runs;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
