/** The table's data: rows by windows, groups, the baseline, and the stream that keeps them moving. */
import { computed, effect, signal, untracked } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { paced } from "../api/paced";
import { follow } from "../api/stream";
import type { News } from "../api/stream";
import { labelOf, writeKey } from "./columns";
import type { Key } from "./columns";
import { knownColumns, knownValues, readTable, whichRuns } from "./query";
import type { TableQuery } from "./query";
import { Rows } from "./rows";
import type { Row } from "./rows";
import { both, groupWhere, withoutValue } from "./sections";
import type { Section } from "./sections";
import { Sparks } from "./sparks";
import { baseline, experiment, groupBy, known, shut, tableQuery } from "./state";

const EVERY_MS = 2_000; // rows are read again at most this often while runs have news
const NAMES_MS = 3_000; // names of columns, and groups
// Names of columns are asked for after so many times as long as their last answer took: of 100,000 runs that is 0.5 s.
const NAMES_SHARE = { other: 30, same: 120 };
const MOST_HEARD = 10_000;
const SILENT_MS = 30_000; // until rows are read again although no run has news: one without a word is lost
const MOST_GROUPS = 500;

/** Which runs the table has, as text: the stream of others is another one. */
const which = computed(() => JSON.stringify(whichRuns(tableQuery.value)));

interface Group {
  text: string;
  value: unknown;
  runs: number;
  rows: Rows;
}

export class TableData {
  readonly sparks = new Sparks();
  /** The one table, or the groups of a grouped one; null until they are known. */
  readonly groups = signal<readonly Group[] | null>(null);
  readonly base = signal<Row | null>(null);
  /** What the groups that are shown leave out, and what to do; "" for nothing. */
  readonly notice = signal("");
  #whole = new Rows(async () => ({ rows: [], total: 0, asOf: "" }));
  #ends: (() => void)[] = [];
  #rows = paced(() => this.#readAgain(), EVERY_MS);
  #names = paced(() => this.#readNames(), NAMES_MS);
  #grouping = paced(() => this.#readGroups(), NAMES_MS);
  #stop = new AbortController();
  #hasMissed = false; // while the page was hidden
  #heard = new Set<string>(); // runs that had news
  #namesTook = 100; // ms
  #endStream = (): void => undefined;

  start(): void {
    let names = "";
    this.#ends.push(
      effect(() => this.#show(tableQuery.value, groupBy.value)),
      effect(() => {
        const id = baseline.value;
        const query = tableQuery.value;
        untracked(() => this.#readBase(id, query));
      }),
      effect(() => {
        const now = String(experiment.value);
        if (now !== names) this.#names.ask(0);
        names = now;
      }),
      effect(() => this.#follow(which.value)),
      this.#nowAndThen(),
    );
  }

  /** What no record says: a page that is seen again, and a run that falls silent. */
  #nowAndThen(): () => void {
    const seen = (): void => {
      if (!document.hidden && this.#hasMissed) this.again();
    };
    document.addEventListener("visibilitychange", seen);
    const timer = setInterval(() => this.#rows.ask(0), SILENT_MS);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      clearInterval(timer);
    };
  }

  stop(): void {
    for (const end of this.#ends) end();
    this.#endStream();
    for (const one of [this.#rows, this.#names, this.#grouping]) one.stop();
    for (const group of this.groups.peek() ?? []) group.rows.stop();
    this.#whole.stop();
    this.sparks.stop();
    this.#stop.abort();
  }

  /** Read everything that is looked at again, now. */
  again = (): void => {
    this.#rows.ask(0);
    if (groupBy.peek()) this.#grouping.ask(0);
  };

  /** The rows of a table that is not grouped. */
  get whole(): Rows {
    return this.#whole;
  }

  /** Hear of these runs, which are written as the API asks for them. */
  #follow(written: string): void {
    this.#endStream();
    const runs = JSON.parse(written) as Record<string, unknown>;
    this.#endStream = follow({ topics: { runs } }, { onNews: (news) => this.#hear(news), onReset: () => this.#reset() });
  }

  #show(query: TableQuery, group: Key | null): void {
    untracked(() => {
      if (group === null) {
        this.groups.value = null;
        this.#whole.again(readTable(query));
        return;
      }
      for (const one of this.groups.peek() ?? []) one.rows.again(readTable(groupQuery(query, group, one.value)));
      this.#grouping.ask(0);
    });
  }

  async #readGroups(): Promise<void> {
    const key = groupBy.peek();
    if (key === null) return;
    const query = tableQuery.peek();
    const stop = this.#stop.signal;
    try {
      const [{ values: found, is_complete: isWhole }, all] = await Promise.all([knownValues(key, query, { limit: MOST_GROUPS, signal: stop }), readTable({ ...query, keys: [] })(0, 1, stop)]);
      if (tableQuery.peek() !== query || groupBy.peek() === null || writeKey(groupBy.peek() ?? key) !== writeKey(key)) return;
      const before = new Map((this.groups.peek() ?? []).map((one) => [one.text, one]));
      const make = (value: unknown, runs: number): Group => {
        const text = value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
        const old = before.get(text);
        return old && JSON.stringify(old.value) === JSON.stringify(value) ? { ...old, runs } : { text, value, runs, rows: new Rows(readTable(groupQuery(query, key, value))) };
      };
      const groups = found.map((one) => make(one.value, one.runs));
      if (found.some((one) => typeof one.value === "object" && one.value !== null)) {
        this.notice.value = `${labelOf(key)} holds structures, by which rows cannot be grouped: group by another name.`;
        this.groups.value = [];
        return;
      }
      const rest = isWhole ? withoutValue(all.total, found) : 0;
      this.notice.value = isWhole ? "" : `Only the ${MOST_GROUPS} groups with the most runs are shown: filter to see the others.`;
      this.groups.value = rest > 0 ? [...groups, make(null, rest)] : groups;
    } catch {
      // the questions of the rows say what is wrong
    }
  }

  async #readNames(): Promise<void> {
    const began = performance.now();
    try {
      const answer = await knownColumns({ where: "", experiment: experiment.peek() }, { signal: this.#stop.signal });
      if (JSON.stringify(answer.columns) !== JSON.stringify(known.peek())) known.value = answer.columns; // another list is another table
      this.#namesTook = performance.now() - began;
    } catch {
      known.value ??= [];
    }
  }

  #readBase(id: string, query: TableQuery): void {
    if (id === "") {
      this.base.value = null;
      return;
    }
    const read = readTable({ ...query, where: "", experiment: null, stage: "all", sorts: [], filter: { key: ["fact", "run_id"], op: "in", values: [id] } });
    read(0, 1, this.#stop.signal).then((answer) => (this.base.value = answer.rows[0] ?? null), () => undefined);
  }

  #readAgain(): void {
    this.#hasMissed = document.hidden;
    if (document.hidden) return;
    if (groupBy.peek() === null) this.#whole.again();
    else for (const group of this.groups.peek() ?? []) group.rows.again();
    if (baseline.peek()) this.#readBase(baseline.peek(), tableQuery.peek());
  }

  #hear({ event, data }: News): void {
    if (event !== "runs") return;
    const changed = data.changed as string[];
    const all = groupBy.peek() === null ? [this.#whole] : (this.groups.peek() ?? []).map((one) => one.rows);
    const isOther = changed.some((run) => !this.#heard.has(run) && !all.some((rows) => rows.has(run)));
    if (this.#heard.size > MOST_HEARD) this.#heard.clear();
    for (const run of changed) this.#heard.add(run);
    this.#names.ask(Math.max(NAMES_MS, this.#namesTook * (isOther ? NAMES_SHARE.other : NAMES_SHARE.same)));
    this.sparks.again(changed);
    this.#rows.ask();
    if (groupBy.peek()) this.#grouping.ask();
  }

  #reset(): void {
    this.sparks.clear();
    this.again();
    this.#names.ask(0);
  }
}

function groupQuery(query: TableQuery, key: Key, value: unknown): TableQuery {
  return { ...query, where: both(query.where, groupWhere(key, value)) };
}

/** Return the table's data; it ends with the component. */
export function useTable(): TableData {
  const table = useMemo(() => new TableData(), []);
  useEffect(() => {
    table.start();
    return () => table.stop();
  }, [table]);
  return table;
}

/** Return the sections of the table as it is grouped now; draws again when rows change. */
export function useSections(table: TableData): readonly Section[] {
  const groups = table.groups.value;
  const isGrouped = groupBy.value !== null;
  const closed = shut.value;
  const sections = useMemo(
    (): readonly Section[] =>
      isGrouped
        ? (groups ?? []).map((one) => ({ group: one.text, runs: one.runs, isOpen: !closed.includes(one.text), rows: one.rows }))
        : [{ group: null, runs: 0, isOpen: true, rows: table.whole }],
    [table, groups, isGrouped, closed],
  );
  for (const { rows } of sections) (rows as Rows).version.value; // draws again when one changes
  return sections;
}

/** Return the run that others are compared with; null: none. */
export function useBaseline(table: { base: ReadonlySignal<Row | null> }): Row | null {
  return table.base.value;
}
