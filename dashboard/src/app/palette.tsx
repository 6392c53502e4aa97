/** The command palette: runs by name, pages, columns and actions, from the keyboard. */
import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Dialog } from "../components/dialog";
import { go, runPage } from "../state/address";
import { commands } from "./commands";
import type { Command } from "./commands";
import { caps } from "./keyboard";
import { findRuns, rank } from "./palette_search";

const MOST_SHOWN = 60;
const TYPING_MS = 150;

const isShown = signal(false);
const asked = signal("");

/** Open the palette, with words to search for. */
export function showPalette(words = ""): void {
  asked.value = words;
  isShown.value = true;
}

export function Palette() {
  return isShown.value ? <Open /> : null;
}

function Open() {
  const [words, setWords] = useState(asked.peek());
  const [chosen, setChosen] = useState(0);
  const [runs, setRuns] = useState<readonly Command[]>([]);
  const list = useRef<HTMLUListElement>(null);
  const close = (): void => {
    isShown.value = false;
  };
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      findRuns(words, stop.signal).then(
        (found) => setRuns(found.map((run) => ({ label: run.name || run.run_id, section: `run · ${run.state}${run.name ? ` · ${run.run_id}` : ""}`, run: () => go(runPage(run.run_id)) }))),
        () => setRuns([]),
      );
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [words]);
  const offered = commands.value;
  const found = useMemo(() => [...rank(words, offered.filter((one) => !one.keyOnly)), ...runs].slice(0, MOST_SHOWN), [words, offered, runs]);
  useEffect(() => setChosen(0), [words]);
  useEffect(() => list.current?.children[chosen]?.scrollIntoView({ block: "nearest" }), [chosen]);
  const act = (one: Command | undefined): void => {
    if (!one) return;
    close();
    one.run();
  };
  const keys = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by && found.length) setChosen((chosen + by + found.length) % found.length);
    else if (event.key === "Enter") act(found[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Search" class="palette" bare onClose={close}>
      <input
        class="palette-input"
        autofocus
        value={words}
        placeholder="Search runs, pages, columns, actions"
        aria-label="Search runs, pages, columns, actions"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found[chosen] ? `palette-${chosen}` : undefined}
        spellcheck={false}
        onInput={(event) => setWords(event.currentTarget.value)}
        onKeyDown={keys}
      />
      <ul class="palette-list" id="palette-list" role="listbox" ref={list}>
        {found.map((one, at) => (
          <li key={at} id={`palette-${at}`} role="option" aria-selected={at === chosen} onPointerMove={() => setChosen(at)} onClick={() => act(one)}>
            <span class="palette-label">{one.label}</span>
            <span class="quiet">{one.section}</span>
            {one.keys?.[0] && <span class="palette-keys">{caps(one.keys[0]).map((cap, key) => <kbd key={key}>{cap}</kbd>)}</span>}
          </li>
        ))}
        {!found.length && <li class="quiet">nothing is called that</li>}
      </ul>
    </Dialog>
  );
}
