/** The dialog that chooses columns: by search, of all names that the runs have. */
import { useEffect, useState } from "preact/hooks";
import { Button } from "../components/button";
import { Dialog } from "../components/dialog";
import { plural } from "../components/text";
import { FACT_LABELS, labelOf, sameKey, withColumn, withPin, writeKey } from "./columns";
import type { Key } from "./columns";
import { knownColumns } from "./query";
import type { KnownColumn } from "./query";
import { chosenColumns, columns, experiment, known, setColumns } from "./state";

const TYPING_MS = 150;
const MOST_SHOWN = 300;
const SECTIONS: readonly (readonly [kind: string, title: string])[] = [["fact", "Facts"], ["metric", "Metrics"], ["param", "Parameters"], ["tag", "Tags"], ["label", "Labels"]];

export function Chooser({ onClose }: { onClose: () => void }) {
  const [words, setWords] = useState("");
  const [found, setFound] = useState<readonly KnownColumn[]>(known.peek() ?? []);
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      knownColumns({ where: "", experiment: experiment.peek() }, { prefix: words, limit: MOST_SHOWN, signal: stop.signal }).then((answer) => setFound(answer.columns), () => undefined);
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [words]);
  const facts: KnownColumn[] = Object.keys(FACT_LABELS).map((name) => ({ key: ["fact", name], types: [], runs: 0 }));
  const fits = (one: KnownColumn): boolean => labelOf(one.key).toLowerCase().includes(words.toLowerCase());
  const all = [...facts, ...found.filter((one) => one.key[0] !== "fact")].filter(fits);
  return (
    <Dialog title="Columns" class="chooser" onClose={onClose}>
      <div class="dialog-content">
        <input autofocus value={words} placeholder="Search names" aria-label="search names of columns" onInput={(event) => setWords(event.currentTarget.value)} />
        <div class="chooser-lists">
          {SECTIONS.map(([kind, title]) => {
            const ofKind = all.filter((one) => one.key[0] === kind && one.key[2] === undefined);
            return ofKind.length ? (
              <fieldset key={kind}>
                <legend>{title}</legend>
                {ofKind.map((one) => <Choice key={writeKey(one.key)} column={one} />)}
              </fieldset>
            ) : null;
          })}
        </div>
        <div class="dialog-actions">
          <Button onClick={() => (chosenColumns.value = null)} disabled={chosenColumns.value === null}>As at first</Button>
          <Button kind="main" onClick={onClose}>Done</Button>
        </div>
      </div>
    </Dialog>
  );
}

function Choice({ column }: { column: KnownColumn }) {
  const shown = columns.value.find((one) => sameKey(one.key, column.key));
  const flip = (): void => setColumns(shown ? columns.peek().filter((one) => one !== shown) : [...columns.peek(), { key: column.key }]);
  return (
    <div class="chooser-line">
      <label>
        <input type="checkbox" checked={shown !== undefined} onChange={flip} />
        <span class="cut">{labelOf(column.key)}</span>
      </label>
      {column.runs > 0 && <span class="quiet" title={column.types.join(", ")}>{plural(column.runs, "run")}</span>}
      {column.key[0] === "metric" && <Extras name={column.key} />}
      {shown && <Button kind="bare" icon="pin" title={shown.pinned ? "Unpin" : "Pin to the left"} pressed={shown.pinned ?? false} onClick={() => setColumns(withColumn(columns.peek(), shown.key, (one) => withPin(one, !one.pinned)))} />}
    </div>
  );
}

/** The other columns that a metric may have. */
function Extras({ name: [, name] }: { name: Key }) {
  const extra = (label: string, key: Key) => {
    const isShown = columns.value.some((one) => sameKey(one.key, key));
    return (
      <button type="button" class="chip" aria-pressed={isShown} onClick={() => setColumns(isShown ? columns.peek().filter((one) => !sameKey(one.key, key)) : [...columns.peek(), { key }])}>
        {label}
      </button>
    );
  };
  return (
    <span class="chooser-extras">
      {extra("min", ["metric", name, "min"])}
      {extra("max", ["metric", name, "max"])}
      {extra("chart", ["spark", name])}
    </span>
  );
}
