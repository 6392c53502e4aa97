/** Parameters, last values, tags and the note beside the charts: searchable, and changed in place. */
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { mayWrite, me } from "../api/session";
import { Button } from "../components/button";
import { Problem } from "../components/problem";
import { count, value } from "../components/text";
import type { RunData } from "./data";
import { edit, typedValue, writtenValue } from "./edit";
import type { RunLog } from "./log";

const MOST_SHOWN = 400; // values of one kind: the search finds the others
const SEARCH_FROM = 10;

export function Details({ log, data }: { log: RunLog; data: RunData }) {
  const save = { runId: log.run_id, again: data.again };
  return (
    <div class="run-values">
      {!mayWrite.value && <p class="quiet read-only">Read only: the token of {me.value?.name || "this session"} has no scope <code>write</code>.</p>}
      <NoteOf log={log} {...save} />
      <Fields
        title="Parameters"
        values={log.parameters}
        write={writtenValue}
        onSave={(name, text) => {
          const before = log.parameters[name];
          const undo = name in log.parameters ? { undo: { params: { [name]: before } } } : {};
          return edit(save.runId, { params: { [name]: typedValue(text) } }, { done: `${name} is saved`, again: save.again, ...undo });
        }}
        addLabel="Add a parameter"
      />
      <Fields title="Last values" values={data.last} />
      <Fields
        title="Tags"
        values={log.tags}
        write={String}
        onSave={(name, text) => edit(save.runId, { tags: { [name]: text } }, { done: `Tag ${name} is saved`, undo: { tags: { [name]: log.tags[name] ?? null } }, again: save.again })}
        onRemove={(name) => edit(save.runId, { tags: { [name]: null } }, { done: `Tag ${name} is removed`, undo: { tags: { [name]: log.tags[name] ?? null } }, again: save.again })}
        addLabel="Add a tag"
      />
      <Fields title="Environment" values={log.environment} isFolded />
    </div>
  );
}

function NoteOf({ log, runId, again }: { log: RunLog; runId: string; again: () => void }) {
  const [isEditing, setEditing] = useState(false);
  if (isEditing) {
    return (
      <section class="card" aria-label="Note">
        <Editor
          label="Note"
          text={log.note}
          isLong
          onClose={() => setEditing(false)}
          onSave={(note) => edit(runId, { note }, { done: "The note is saved", undo: { note: log.note }, again })}
        />
      </section>
    );
  }
  if (!log.note && !mayWrite.value) return null;
  return (
    <section class="card" aria-label="Note">
      <div class="card-head">
        <h2>Note</h2>
        {mayWrite.value && <Button class="push" kind="bare" icon={log.note ? "edit" : "plus"} title={log.note ? "Change the note" : "Write a note"} onClick={() => setEditing(true)} />}
      </div>
      {log.note && <p class="note">{log.note}</p>}
    </section>
  );
}

interface FieldsProps {
  title: string;
  values: Readonly<Record<string, unknown>>;
  /** How a value is typed; without it nothing can be changed. */
  write?: (value: unknown) => string;
  onSave?: (name: string, text: string) => Promise<void>;
  onRemove?: (name: string) => Promise<void>;
  addLabel?: string;
  isFolded?: boolean;
}

function Fields({ title, values, write, onSave, onRemove, addLabel, isFolded = false }: FieldsProps) {
  const [search, setSearch] = useState("");
  const [editing, setEditing] = useState<string | null>(null);
  const [isAdding, setAdding] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const all = Object.entries(values);
  const canWrite = mayWrite.value && onSave !== undefined;
  if (!all.length && !canWrite) return null;
  const words = search.toLowerCase();
  const found = all.filter(([name, one]) => name.toLowerCase().includes(words) || value(one, 12).toLowerCase().includes(words));
  const remove = (name: string): void => void onRemove?.(name).then(() => setProblem(null), setProblem);
  const body = (
    <>
      {all.length >= SEARCH_FROM && <input class="fields-search" type="search" placeholder={`Search ${title.toLowerCase()}`} aria-label={`Search ${title.toLowerCase()}`} value={search} onInput={(event) => setSearch(event.currentTarget.value)} />}
      <Problem error={problem} />
      {isAdding && <Adder label={addLabel ?? ""} onClose={() => setAdding(false)} onSave={onSave!} />}
      <div class="scroll">
        <table class="plain-table">
          <tbody>
            {found.slice(0, MOST_SHOWN).map(([name, one]) =>
              editing === name ? (
                <tr key={name}>
                  <td colSpan={2}><Editor label={name} text={write!(one)} onClose={() => setEditing(null)} onSave={(text) => onSave!(name, text)} /></td>
                </tr>
              ) : (
                <tr key={name} data-field={name}>
                  <th scope="row">{name}</th>
                  <td class={typeof one === "number" ? "num" : ""}>
                    {value(one, 6)}
                    {canWrite && (
                      <span class="field-tools">
                        <Button kind="bare" icon="edit" title={`Change ${name}`} onClick={() => setEditing(name)} />
                        {onRemove && <Button kind="bare" icon="close" title={`Remove ${name}`} onClick={() => remove(name)} />}
                      </span>
                    )}
                  </td>
                </tr>
              ),
            )}
          </tbody>
        </table>
      </div>
      {found.length > MOST_SHOWN && <p class="quiet fields-note">{count(MOST_SHOWN)} of {count(found.length)}: search for others</p>}
    </>
  );
  const head = <><h2>{title}</h2><span class="quiet">{count(all.length)}</span></>;
  if (isFolded) return <details class="card"><summary class="card-head">{head}</summary>{body}</details>;
  return (
    <section class="card" aria-label={title}>
      <div class="card-head">
        {head}
        {canWrite && addLabel && <Button class="push" kind="bare" icon="plus" title={addLabel} onClick={() => setAdding(true)} />}
      </div>
      {body}
    </section>
  );
}

interface EditorProps {
  label: string;
  text: string;
  isLong?: boolean;
  /** false: another box has the focus first. */
  hasFocus?: boolean;
  onSave: (text: string) => Promise<void>;
  onClose: () => void;
  children?: ComponentChildren;
}

/** A box for one text: Enter saves (Ctrl+Enter in a long one), Escape leaves it as it was; what is refused stays, with why. */
export function Editor({ label, text, isLong = false, hasFocus = true, onSave, onClose, children }: EditorProps) {
  const [now, setNow] = useState(text);
  const [problem, setProblem] = useState<unknown>(null);
  const [isSaving, setSaving] = useState(false);
  const save = (): void => {
    setSaving(true);
    onSave(now).then(onClose, (error) => {
      setProblem(error);
      setSaving(false);
    });
  };
  const keys = (event: KeyboardEvent): void => {
    if (event.key === "Escape") onClose();
    else if (event.key === "Enter" && (!isLong || event.ctrlKey || event.metaKey)) save();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const focus = useRef(false);
  const props = {
    "aria-label": label,
    value: now,
    onInput: (event: { currentTarget: { value: string } }) => setNow(event.currentTarget.value),
    ref: (box: HTMLInputElement | HTMLTextAreaElement | null): void => {
      if (box && hasFocus && !focus.current) box.focus();
      focus.current = true;
    },
  };
  return (
    <div class="editor" onKeyDown={keys}>
      <span class="quiet">{label}</span>
      {isLong ? <textarea rows={6} {...props} /> : <input type="text" {...props} />}
      {children}
      <span class="editor-tools">
        <Button kind="main" disabled={isSaving} onClick={save} title={isLong ? "Ctrl+Enter" : "Enter"}>Save</Button>
        <Button onClick={onClose} title="Esc">Cancel</Button>
      </span>
      <Problem error={problem} />
    </div>
  );
}

function Adder({ label, onSave, onClose }: { label: string; onSave: (name: string, text: string) => Promise<void>; onClose: () => void }) {
  const [name, setName] = useState("");
  const box = useRef<HTMLInputElement | null>(null);
  const focusOnce = (found: HTMLInputElement | null): void => {
    if (found && !box.current) found.focus();
    box.current = found ?? box.current;
  };
  return (
    <div class="adder">
      <label class="quiet">name <input type="text" aria-label="Name" ref={focusOnce} value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <Editor
        label={label === "Add a tag" ? "text" : "value"}
        text=""
        hasFocus={false}
        onClose={onClose}
        onSave={(text) => (name.trim() ? onSave(name.trim(), text) : Promise.reject(new Error("it needs a name")))}
      />
    </div>
  );
}
