/** The box of the filter: completes names, operators and values, and underlines what the API does not understand. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api/client";
import { isAborted } from "../api/errors";
import { Icon } from "../components/icon";
import { value as valueText } from "../components/text";
import { FACT_LABELS } from "./columns";
import { complete, operatorsOf, placeOf } from "./filter_words";
import type { Place } from "./filter_words";
import { knownColumns, knownValues } from "./query";
import { filterName, quote } from "./sections";
import { experiment, where } from "./state";

const TYPING_MS = 140;
const MOST_SHOWN = 12;

interface Check {
  ok: boolean;
  position?: number;
  end?: number;
  message?: string;
}

interface Choice {
  text: string;
  hint: string;
}

export function FilterBox() {
  const [text, setText] = useState(where.peek());
  const [caret, setCaret] = useState(-1); // -1: no list
  const [wrong, setWrong] = useState<Check | null>(null);
  const [choices, setChoices] = useState<readonly Choice[]>([]);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const mirror = useRef<HTMLDivElement>(null);

  useEffect(() => setText(where.value), [where.value]); // back, forward, a saved view
  useEffect(() => checked(text, setWrong), [text]);
  useEffect(() => {
    if (caret < 0) return setChoices([]);
    const stop = new AbortController();
    const timer = setTimeout(() => {
      const place = placeOf(text, caret);
      choicesOf(place, stop.signal).then(setChoices, (error) => isAborted(error) || setChoices([]));
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text, caret]);
  useEffect(() => setChosen(-1), [choices]);

  const apply = (next: string): void => {
    where.value = next.trim();
    setCaret(-1);
  };
  const take = (choice: Choice): void => {
    const done = complete(text, placeOf(text, caret < 0 ? text.length : caret), choice.text);
    setText(done.text);
    setCaret(done.caret);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(done.caret, done.caret);
    });
  };
  const keys = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const isOpen = caret >= 0 && choices.length > 0;
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
    setText(event.currentTarget.value);
    setCaret(event.currentTarget.selectionStart ?? event.currentTarget.value.length);
  };
  const scroll = (): void => {
    if (mirror.current && input.current) mirror.current.scrollLeft = input.current.scrollLeft;
  };
  const isChanged = text.trim() !== where.value;
  return (
    <div class={`filter${wrong ? " wrong" : ""}`} role="search">
      <Icon name="search" />
      <div class="filter-text">
        <div class="filter-mirror" aria-hidden="true" ref={mirror}>
          {wrong ? <Marked text={text} from={wrong.position ?? 0} to={wrong.end ?? text.length} /> : null}
        </div>
        <input
          ref={input}
          id="filter"
          value={text}
          placeholder={"Filter: metrics.loss < 0.3 and params.lr = 0.001 and state = 'finished'"}
          aria-label="filter of runs"
          aria-invalid={wrong !== null}
          aria-describedby={wrong ? "filter-wrong" : undefined}
          aria-autocomplete="list"
          aria-controls="filter-list"
          aria-expanded={caret >= 0 && choices.length > 0}
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
      {isChanged && !wrong && <kbd>Enter</kbd>}
      {text !== "" && (
        <button type="button" class="button bare alone" title="Clear the filter" aria-label="Clear the filter" onClick={() => (setText(""), apply(""))}>
          <Icon name="close" />
        </button>
      )}
      {wrong && <div class="filter-wrong" id="filter-wrong" role="alert">{wrong.message}</div>}
      {caret >= 0 && choices.length > 0 && (
        <ul class={`filter-list${wrong ? " below" : ""}`} id="filter-list" role="listbox" aria-label="completions">
          {choices.map((choice, at) => (
            <li key={choice.text} role="option" aria-selected={at === chosen} onPointerDown={(event) => (event.preventDefault(), take(choice))}>
              <code>{choice.text}</code>
              <span class="quiet">{choice.hint}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** The text with the wrong part underlined; at the end of the text there is nothing to underline, so a gap is. */
function Marked({ text, from, to }: { text: string; from: number; to: number }) {
  const end = Math.max(to, from + 1);
  return (
    <>
      {text.slice(0, from)}
      <mark>{text.slice(from, end).padEnd(1, " ")}</mark>
      {text.slice(end)}
    </>
  );
}

/** Ask whether the text is a filter, a moment after it was typed. Returns what ends the question. */
function checked(text: string, show: (wrong: Check | null) => void): () => void {
  const stop = new AbortController();
  const timer = setTimeout(() => {
    if (text.trim() === "") return show(null);
    ask<Check>("/v1/filters/check", { body: { where: text }, signal: stop.signal, retry: false }).then(
      (answer) => show(answer.ok ? null : answer),
      (error) => isAborted(error) || show(null),
    );
    return undefined;
  }, TYPING_MS);
  return () => {
    clearTimeout(timer);
    stop.abort();
  };
}

async function choicesOf(place: Place, signal: AbortSignal): Promise<Choice[]> {
  const typed = place.prefix.toLowerCase();
  const words = (found: readonly string[], hint = ""): Choice[] => found.filter((one) => one.startsWith(typed) && one !== typed).map((text) => ({ text, hint }));
  const which = { where: "", experiment: experiment.peek() };
  if (place.expects === "joint") return words(["and", "or"]);
  if (place.expects === "operator") return words(operatorsOf(place.key));
  if (place.expects === "value") {
    if (!place.key || place.key[0] === "metric") return [];
    if (place.key[0] === "fact" && place.key[1] === "state") return fit(["running", "finished", "failed", "killed", "lost", "created"].map((one) => ({ text: quote(one), hint: "" })), typed);
    const found = await knownValues(place.key, which, { limit: 50, signal });
    return fit(found.map((one) => ({ text: typeof one.value === "number" ? String(one.value) : quote(valueText(one.value)), hint: `${one.runs} run${one.runs === 1 ? "" : "s"}` })), typed);
  }
  const found = await knownColumns(which, { limit: 500, signal });
  const facts = Object.keys(FACT_LABELS).filter((one) => one !== "duration").map((text) => ({ text, hint: "fact" }));
  const names = found.filter((one) => one.key[2] === undefined && one.key[0] !== "fact" && one.key[0] !== "label").map((one) => ({ text: filterName(one.key), hint: `${one.runs} runs` }));
  return fit([...names, ...facts], typed);
}

/** The choices in which the typed text occurs; those that begin with it come first. */
function fit(choices: readonly Choice[], typed: string): Choice[] {
  const bare = typed.replace(/^['"`]/, "");
  const found = choices.filter(({ text }) => text.toLowerCase().includes(bare) && text.toLowerCase() !== typed);
  const begins = ({ text }: Choice): boolean => text.toLowerCase().replace(/^['"`]/, "").startsWith(bare);
  return [...found.filter(begins), ...found.filter((one) => !begins(one))].slice(0, MOST_SHOWN);
}
