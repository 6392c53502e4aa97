/** A rule is written here: a form and its YAML side by side, checked by the API while a hand types in either. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, sleep, tell } from "../api/client";
import { ApiError, isAborted } from "../api/errors";
import { mayWrite } from "../api/session";
import { Button } from "../components/button";
import { Dialog } from "../components/dialog";
import { Problem } from "../components/problem";
import { ago, moment } from "../components/text";
import { toast, toastError } from "../components/toast";
import { now } from "../state/clock";
import { entryOf, newRule, startOfLine } from "./rule";
import type { RuleFields, RuleProblem } from "./rule";
import { RuleForm } from "./rule_form";

const TYPING_MS = 250;

interface Check {
  ok: boolean;
  rule: RuleFields | null;
  yaml: string | null;
  problems: RuleProblem[];
}

interface Saved extends RuleFields {
  version: number;
  newest_version: number;
  state: "active" | "deleted";
}

interface Version {
  version: number;
  author: string;
  time: number;
}

export interface RuleDialogProps {
  /** "": a new one. */
  id: string;
  onClose: () => void;
  onSaved: () => void;
}

export function RuleDialog({ id, onClose, onSaved }: RuleDialogProps) {
  const [rule, setRule] = useState<RuleFields | null>(id ? null : newRule());
  const [yaml, setYaml] = useState("");
  const [typed, setTyped] = useState<"form" | "yaml">("form"); // where a hand was last: the other one follows
  const [found, setProblems] = useState<readonly RuleProblem[]>([]);
  const [isChecked, setChecked] = useState(false); // the problems are those of what is written now
  const [basedOn, setBasedOn] = useState(0);
  const [shown, setShown] = useState<number | null>(null); // version in the form; null: the newest
  const [error, setError] = useState<unknown>(null);

  useEffect(() => {
    if (!id) return;
    const path = `/v1/alert-rules/${encodeURIComponent(id)}`;
    ask<Saved>(shown === null ? path : `${path}?version=${shown}`, { retry: false }).then((saved) => {
      setRule({ id: saved.id, name: saved.name, description: saved.description, enabled: saved.enabled, body: saved.body });
      setBasedOn(saved.newest_version);
      setTyped("form");
      setChecked(false);
      setError(null);
    }, setError);
  }, [id, shown]);

  const written = typed === "yaml" ? yaml : JSON.stringify(rule);
  useEffect(() => {
    if (!rule) return undefined;
    const stop = new AbortController();
    const check = async (): Promise<void> => {
      await sleep(TYPING_MS, stop.signal);
      const body = typed === "yaml" ? { yaml } : { rule: entryOf(rule) };
      const answer = await ask<Check>("/v1/alert-rules/check", { body, signal: stop.signal, retry: false, needsFold: false });
      setProblems(answer.problems);
      setChecked(true);
      if (typed === "form" && answer.yaml !== null) setYaml(answer.yaml);
      if (typed === "yaml" && answer.rule) setRule(answer.rule);
    };
    check().catch((problem: unknown) => isAborted(problem) || setError(problem));
    return () => stop.abort();
  }, [typed, written]);

  const change = (next: RuleFields): void => (setTyped("form"), setChecked(false), setRule(next));
  const save = async (based_on: number): Promise<void> => {
    if (!rule) return;
    const { id: ruleId, name, ...rest } = rule;
    try {
      await tell(`/v1/alert-rules/${encodeURIComponent(ruleId)}`, { method: "PUT", body: { ...rest, name: name || ruleId, based_on } });
      toast({ text: `Rule ${name || ruleId} saved` });
      onSaved();
    } catch (problem) {
      setError(problem);
    }
  };
  const remove = async (): Promise<void> => {
    if (!confirm(`Delete rule ${id}? What it fired is resolved. Its versions can still be read.`)) return;
    await tell(`/v1/alert-rules/${encodeURIComponent(id)}`, { method: "DELETE" });
    toast({ text: `Rule ${id} deleted` });
    onSaved();
  };
  const problems = rule?.id === "" && typed === "form" ? found.filter((one) => one.field !== "id") : found; // not written yet
  const newer = error instanceof ApiError && error.status === 409 && typeof error.body.version === "number" ? error.body.version : null;
  const isWritable = isChecked && found.length === 0 && rule !== null && rule.id !== "";
  return (
    <Dialog title={id ? `Rule ${id}` : "New rule"} class="rule-dialog" onClose={onClose}>
      <div class="dialog-content">
        {rule && (
          <div class="rule-sides">
            <RuleForm rule={rule} isSaved={id !== ""} problems={problems} onChange={change} />
            <Text yaml={yaml} problems={problems} onChange={(text) => (setTyped("yaml"), setChecked(false), setYaml(text))} />
          </div>
        )}
        <Problem error={error} />
        {newer !== null && (
          <p class="rule-newer">
            Somebody saved version {newer} meanwhile.{" "}
            <Button onClick={() => (setShown(newer), setError(null))}>Show version {newer}</Button>{" "}
            <Button kind="danger" onClick={() => void save(newer)}>Save mine over it</Button>
          </p>
        )}
        {rule?.id && <BackTest id={id} />}
        <div class="dialog-actions">
          {id && <Versions id={id} shown={shown} newest={basedOn} onShow={setShown} />}
          {id && mayWrite.value && <Button kind="danger" icon="trash" onClick={() => void remove().catch(toastError)}>Delete</Button>}
          {mayWrite.value && <Button kind="main" disabled={!isWritable} onClick={() => void save(basedOn)}>{id ? `Save version ${basedOn + 1}` : "Save"}</Button>}
        </div>
      </div>
    </Dialog>
  );
}

function Text({ yaml, problems, onChange }: { yaml: string; problems: readonly RuleProblem[]; onChange: (text: string) => void }) {
  const own = useRef<HTMLTextAreaElement>(null);
  const show = ({ line, column }: RuleProblem): void => {
    const start = startOfLine(yaml, line, column);
    const end = yaml.indexOf("\n", start);
    own.current?.focus();
    own.current?.setSelectionRange(start, end < 0 ? yaml.length : end);
  };
  return (
    <div class="rule-text">
      <textarea ref={own} class="code" aria-label="The rule as YAML" spellcheck={false} value={yaml} onInput={(event) => onChange(event.currentTarget.value)} />
      <ul class="rule-problems" aria-label="What is wrong" aria-live="polite">
        {problems.map((one) => (
          <li key={`${one.field} ${one.line} ${one.message}`}>
            {one.line > 0 && <button type="button" class="link" onClick={() => show(one)}>line {one.line}</button>} {one.field && <code>{one.field}</code>} {one.message}
          </li>
        ))}
      </ul>
    </div>
  );
}

function BackTest({ id }: { id: string }) {
  const command = id ? `gateway alerts test ${/^[\w./-]+$/.test(id) ? id : `'${id.replaceAll("'", `'\\''`)}'`} --since 7d` : "gateway alerts test rule.yaml --since 7d";
  return <p class="quiet">When would it have fired? {id ? "Once it is saved" : "With this text in a file, below rules: and - "}: <code>{command}</code></p>;
}

function Versions({ id, shown, newest, onShow }: { id: string; shown: number | null; newest: number; onShow: (version: number | null) => void }) {
  const [versions, setVersions] = useState<readonly Version[]>([]);
  useEffect(() => {
    ask<{ versions: Version[] }>(`/v1/alert-rules/${encodeURIComponent(id)}/versions`, { retry: false }).then((answer) => setVersions(answer.versions), toastError);
  }, [id, newest]);
  if (versions.length < 2) return null;
  return (
    <select aria-label="version" value={String(shown ?? newest)} onChange={(event) => onShow(Number(event.currentTarget.value))}>
      {versions.map((one) => <option key={one.version} value={String(one.version)} title={moment(one.time)}>version {one.version}{one.author && ` by ${one.author}`}, {ago(one.time, now.value)}</option>)}
    </select>
  );
}
