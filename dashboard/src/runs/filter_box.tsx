/** The box of the filter: completes names, operators and values, and underlines what the API does not understand. */
import { useEffect, useRef, useState } from "preact/hooks";
import { isAborted } from "../api/errors";
import { sleep } from "../api/client";
import { Icon } from "../components/icon";
import { check, choices as choicesAt, complete } from "./completion";
import type { Check, Choice } from "./completion";
import { experiment } from "./state";
import type { Field } from "../state/address";
import "../styles/filter.css";

const TYPING_MS = 120;
const UNFINISHED_MS = 1_200; // before the word that is being typed is called wrong

export function FilterBox({ where }: { where: Field<string> }) {
  const [text, setText] = useState(where.peek());
  const [caret, setCaret] = useState(-1); // -1: no list
  const [wrong, setWrong] = useState<Check | null>(null);
  const [start, setStart] = useState(0);
  const [choices, setChoices] = useState<readonly Choice[]>([]);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const mirror = useRef<HTMLDivElement>(null);

  useEffect(() => setText(where.value), [where.value]); // back, forward, a saved view
  useEffect(() => {
    if (text === "" && caret < 0) {
      setWrong(null);
      setChoices([]);
      return undefined;
    }
    const stop = new AbortController();
    const look = async (): Promise<void> => {
      await sleep(TYPING_MS, stop.signal);
      const place = caret < 0 ? text.length : caret;
      const found = await check(text, place, stop.signal);
      const isWrong = !found.ok && text.trim() !== "";
      if (!isWrong) setWrong(null);
      else if (found.to < text.trimEnd().length || caret < 0) setWrong(found);
      setStart(found.follow?.start ?? place);
      setChoices(caret < 0 ? [] : await choicesAt(text, place, found, experiment.peek(), stop.signal));
      setChosen(-1);
      if (!isWrong) return;
      await sleep(UNFINISHED_MS, stop.signal);
      setWrong(found);
    };
    look().catch((error: unknown) => isAborted(error) || setChoices([]));
    return () => stop.abort();
  }, [text, caret]);

  const apply = (next: string): void => {
    where.value = next.trim();
    setCaret(-1);
  };
  const take = (choice: Choice): void => {
    const done = complete(text, start, caret < 0 ? text.length : caret, choice.text);
    setText(done.text);
    setCaret(done.caret);
    setChoices([]);
    if (!input.current) return;
    input.current.value = done.text; // now, not with the next frame: what is typed until then stands behind it
    input.current.focus();
    input.current.setSelectionRange(done.caret, done.caret);
  };
  const isOpen = caret >= 0 && choices.length > 0;
  const keys = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const choice = choices[chosen] ?? (event.key === "Tab" ? choices[0] : undefined);
    if (by && isOpen) setChosen((chosen + by + choices.length) % choices.length);
    else if ((event.key === "Enter" || event.key === "Tab") && isOpen && choice && !event.shiftKey) take(choice);
    else if (event.key === "Enter") apply(text);
    else if (event.key === "Escape" && isOpen) setCaret(-1);
    else if (event.key === "Escape") input.current?.blur();
    else return;
    event.preventDefault();
  };
  const see = (event: { currentTarget: HTMLInputElement }): void => {
    if (event.currentTarget.value !== text) setWrong(null);
    setText(event.currentTarget.value);
    setCaret(event.currentTarget.selectionStart ?? event.currentTarget.value.length);
  };
  const scroll = (): void => {
    if (mirror.current && input.current) mirror.current.scrollLeft = input.current.scrollLeft;
  };
  return (
    <div class={`filter${wrong ? " wrong" : ""}`} role="search">
      <Icon name="search" />
      <div class="filter-text">
        <div class="filter-mirror" aria-hidden="true" ref={mirror}>
          {wrong ? <Marked text={text} from={wrong.from} to={wrong.to} /> : null}
        </div>
        <input
          ref={input}
          id="filter"
          value={text}
          placeholder={"metrics.loss < 0.3 and params.lr = 0.001 and state = 'finished'"}
          aria-label="filter of runs"
          aria-invalid={wrong !== null}
          aria-describedby={wrong ? "filter-wrong" : undefined}
          aria-autocomplete="list"
          aria-controls="filter-list"
          aria-expanded={isOpen}
          role="combobox"
          autocomplete="off"
          spellcheck={false}
          onInput={see}
          onClick={see}
          onFocus={see}
          onScroll={scroll}
          onKeyUp={(event) => ["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key) && see(event)}
          onKeyDown={keys}
          onBlur={() => setCaret(-1)}
        />
      </div>
      {text.trim() !== where.value && !wrong && <kbd>Enter</kbd>}
      {text !== "" && (
        <button type="button" class="button bare alone" title="Clear the filter" aria-label="Clear the filter" onClick={() => (setText(""), apply(""))}>
          <Icon name="close" />
        </button>
      )}
      {isOpen && (
        <ul class="filter-list" id="filter-list" role="listbox" aria-label="completions">
          {choices.map((choice, at) => (
            <li key={choice.text} role="option" aria-selected={at === chosen} onPointerDown={(event) => (event.preventDefault(), take(choice))}>
              <code>{choice.text}</code>
              <span class="quiet">{choice.hint}</span>
            </li>
          ))}
        </ul>
      )}
      {wrong && !isOpen && <div class="filter-wrong" id="filter-wrong" role="alert">{wrong.message}</div>}
    </div>
  );
}

/** The text with the wrong part underlined; at its end there is nothing to underline, so a gap is. */
function Marked({ text, from, to }: { text: string; from: number; to: number }) {
  const end = Math.max(to, from + 1);
  return (
    <>
      {text.slice(0, from)}
      <mark>{text.slice(from, end) || " "}</mark>
      {text.slice(end)}
    </>
  );
}
