/** The runs table: thousands of runs, kept moving by the stream. */
import { useSignal } from "@preact/signals";
import { useState } from "preact/hooks";
import { useCommands } from "../app/commands";
import { useGoals } from "../components/delta";
import { Problem } from "../components/problem";
import { toast } from "../components/toast";
import { go, runPage } from "../state/address";
import { Chooser } from "./chooser";
import { compareSelected, openWorkspace, SelectionBar } from "./actions";
import { labelOf, sameKey } from "./columns";
import { NothingFound } from "./empty";
import { useBaseline, useSections, useTable } from "./live";
import { allLines, lineAt } from "./sections";
import { MOST_SELECTED, columns, experiment, groupBy, known, select, selected, setColumns, toggle } from "./state";
import { Table, toggleGroup } from "./table";
import { Toolbar } from "./toolbar";
import "../styles/runs.css";

export default function RunsPage() {
  const [isChoosing, setChoosing] = useState(false);
  const cursor = useSignal(-1);
  const anchor = useSignal(-1); // where a selection with Shift begins
  const table = useTable();
  const sections = useSections(table);
  const base = useBaseline(table);
  const goals = useGoals(base?.id ?? "", columns.value.flatMap(({ key: [kind, name] }) => (kind === "metric" ? [name] : [])));
  const total = sections.length && (sections[0]?.group !== null || sections[0].rows.total.value !== null) ? sections.reduce((sum, one) => sum + (one.rows.total.value ?? one.runs), 0) : null;
  const isEmpty = sections.length === 1 && sections[0]?.group === null && sections[0].rows.total.value === 0;
  const error = sections.find((one) => "error" in one.rows && (one.rows as { error: { value: unknown } }).error.value)?.rows as { error?: { value: unknown } } | undefined;

  const idAt = (line: number): string | undefined => {
    const found = lineAt(sections, line);
    return found && found.index >= 0 ? found.section.rows.at(found.index)?.id : undefined;
  };
  const selectTo = (line: number): void => {
    const from = Math.min(anchor.peek() < 0 ? line : anchor.peek(), line);
    const to = Math.max(anchor.peek() < 0 ? line : anchor.peek(), line);
    const ids = Array.from({ length: Math.min(to - from + 1, MOST_SELECTED + 1) }, (_, at) => idAt(from + at)).filter((id) => id !== undefined);
    if (!select(ids)) toast({ text: `At most ${MOST_SELECTED} runs can be selected` });
  };
  const onSelect = (line: number, { shiftKey }: { shiftKey: boolean }): void => {
    const id = idAt(line);
    if (shiftKey && anchor.peek() >= 0) selectTo(line);
    else if (id !== undefined) toggle(id);
    anchor.value = line;
    cursor.value = line;
  };
  const move = (by: number, isSelecting = false): void => {
    const next = Math.max(0, Math.min(allLines(sections) - 1, cursor.peek() + by));
    if (isSelecting && anchor.peek() < 0) anchor.value = Math.max(cursor.peek(), 0);
    cursor.value = next;
    if (isSelecting) selectTo(next);
    else anchor.value = -1;
  };
  const act = (): void => {
    const found = lineAt(sections, cursor.peek());
    if (found && found.index < 0) toggleGroup(found.section);
    const id = idAt(cursor.peek());
    if (id !== undefined) go(runPage(id));
  };
  useCommands(
    () => [
      { label: "Filter", run: () => document.getElementById("filter")?.focus(), keys: ["/"], section: "Runs" },
      { label: "Next run", run: () => move(1), keys: ["j", "arrowdown"], section: "Runs", keyOnly: true },
      { label: "Previous run", run: () => move(-1), keys: ["k", "arrowup"], section: "Runs", keyOnly: true },
      { label: "A page down", run: () => move(20), keys: ["pagedown"], section: "Runs", keyOnly: true },
      { label: "A page up", run: () => move(-20), keys: ["pageup"], section: "Runs", keyOnly: true },
      { label: "First run", run: () => move(-Infinity), keys: ["home"], section: "Runs", keyOnly: true },
      { label: "Last run", run: () => move(Infinity), keys: ["end"], section: "Runs", keyOnly: true },
      { label: "Open the run, or a group", run: act, keys: ["enter"], section: "Runs", keyOnly: true },
      { label: "Select the run", run: () => onSelect(cursor.peek(), { shiftKey: false }), keys: ["space"], section: "Runs", keyOnly: true },
      { label: "Select while moving", run: () => move(1, true), keys: ["shift+j", "shift+arrowdown"], section: "Runs", keyOnly: true },
      { label: "Select while moving up", run: () => move(-1, true), keys: ["shift+k", "shift+arrowup"], section: "Runs", keyOnly: true },
      { label: "Select none", run: () => selected.replace([]), keys: ["escape"], section: "Runs", keyOnly: true },
      { label: "Compare the selected runs", run: compareSelected, keys: ["c"], section: "Runs" },
      { label: "Draw the selected runs in the workspace", run: openWorkspace, keys: ["w"], section: "Runs" },
      { label: "Choose columns", run: () => setChoosing(true), keys: ["v"], section: "Runs" },
      ...(known.value ?? [])
        .filter(({ key }) => key[2] === undefined && !columns.value.some((one) => sameKey(one.key, key)))
        .map(({ key }) => ({ label: `Show column ${labelOf(key)}`, section: key[0], run: () => setColumns([...columns.peek(), { key }]) })),
    ],
    [sections, known.value, columns.value],
  );
  return (
    <div class="runs-page">
      <Toolbar total={total} shownRuns={experiment.value} onChoose={() => setChoosing(true)} />
      <Problem error={error?.error?.value} />
      {groupBy.value && table.notice.value && <p class="notice" role="status">{table.notice.value}</p>}
      {isEmpty ? <NothingFound /> : <Table sections={sections} cursor={cursor} base={base} goals={goals} sparks={table.sparks} onSelect={onSelect} onOpen={(id) => go(runPage(id))} />}
      <SelectionBar again={table.again} />
      {isChoosing && <Chooser onClose={() => setChoosing(false)} />}
    </div>
  );
}
