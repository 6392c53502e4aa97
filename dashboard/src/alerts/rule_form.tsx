/** The form of a rule, with what is wrong next to each field. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { KINDS, listOf, numberOf, problemOf, seriesOf, withBody, withField, withKind } from "./rule";
import type { Input, RuleFields, RuleProblem } from "./rule";

export interface RuleFormProps {
  rule: RuleFields;
  /** Its id cannot be changed. */
  isSaved: boolean;
  problems: readonly RuleProblem[];
  onChange: (rule: RuleFields) => void;
}

export function RuleForm({ rule, isSaved, problems, onChange }: RuleFormProps) {
  const { body } = rule;
  const kind = body.when?.kind ?? "nan";
  const known = KINDS[kind];
  const [how, text] = seriesOf(rule);
  const wrong = (field: string): string => problemOf(problems, field);
  const chooseSeries = (nextHow: string, next: string): void => {
    const { series: _, ...rest } = body;
    onChange({ ...rule, body: nextHow === "all" ? rest : { ...rest, series: { [nextHow]: next } } });
  };
  return (
    <div class="rule-form">
      <Field label="id" wrong={wrong("id")}><input value={rule.id} disabled={isSaved} autofocus={!isSaved} onInput={(event) => onChange({ ...rule, id: event.currentTarget.value })} /></Field>
      <Field label="name" wrong={wrong("name")}><input value={rule.name} placeholder={rule.id} onInput={(event) => onChange({ ...rule, name: event.currentTarget.value })} /></Field>
      <Field label="fires when" wrong={wrong("when") && !known?.inputs.some((input) => wrong(`when.${input.name}`)) ? wrong("when") : ""}>
        <select value={kind} onChange={(event) => onChange(withKind(rule, event.currentTarget.value))}>
          {Object.entries(KINDS).map(([name, { title }]) => <option key={name} value={name}>{title}</option>)}
        </select>
      </Field>
      <div class="rule-inputs">
        {known?.inputs.map((input) => (
          <Field key={`${kind} ${input.name}`} label={input.label} wrong={wrong(`when.${input.name}`)}>
            <ConditionInput input={input} value={body.when?.[input.name]} onChange={(value) => onChange(withField(rule, input.name, value))} />
          </Field>
        ))}
      </div>
      {!known?.ofRuns && (
        <Field label="series" wrong={wrong("series")}>
          <span class="rule-series">
            <select aria-label="which series" value={how} onChange={(event) => chooseSeries(event.currentTarget.value, text)}>
              <option value="all">all</option><option value="name">called</option><option value="prefix">that begin with</option><option value="regex">that match</option>
            </select>
            {how !== "all" && <input aria-label="text of the series" value={text} onInput={(event) => chooseSeries(how, event.currentTarget.value)} />}
          </span>
        </Field>
      )}
      <Field label="of runs (a filter; empty: all)" wrong={wrong("where")}><input class="code" value={body.where ?? ""} placeholder="experiment = 'digits' and params.lr > 0.1" onInput={(event) => onChange(withBody(rule, { where: event.currentTarget.value }))} /></Field>
      <div class="rule-inputs">
        <Field label="severity" wrong={wrong("severity")}>
          <select value={body.severity ?? "warning"} onChange={(event) => onChange(withBody(rule, { severity: event.currentTarget.value }))}>
            {["info", "warning", "critical"].map((word) => <option key={word}>{word}</option>)}
          </select>
        </Field>
        <Field label="targets, with commas" wrong={wrong("to")}><TextInput written={(body.to ?? []).join(", ")} placeholder="the default ones" onText={(next) => onChange(withBody(rule, { to: listOf(next) }))} /></Field>
        <Field label="pause after a firing, s" wrong={wrong("cooldown_s")}><TextInput written={String(body.cooldown_s ?? "")} placeholder="0" onText={(next) => onChange(withBody(rule, { cooldown_s: numberOf(next) ?? 0 }))} /></Field>
      </div>
      <label class="check"><input type="checkbox" checked={rule.enabled} onChange={(event) => onChange({ ...rule, enabled: event.currentTarget.checked })} /> it is evaluated</label>
    </div>
  );
}

function Field({ label, wrong, children }: { label: string; wrong: string; children: ComponentChildren }) {
  return (
    <div class={`field${wrong ? " wrong" : ""}`}>
      <label>{label}{children}</label>
      {wrong && <span class="field-wrong" role="alert">{wrong}</span>}
    </div>
  );
}

function ConditionInput({ input, value, onChange }: { input: Input; value: unknown; onChange: (value: unknown) => void }) {
  if (input.type === "choice") {
    return (
      <select value={String(value ?? input.words?.[0] ?? "")} onChange={(event) => onChange(event.currentTarget.value)}>
        {input.words?.map((word) => <option key={word}>{word}</option>)}
      </select>
    );
  }
  if (input.type === "flag") return <input type="checkbox" checked={value !== false} onChange={(event) => onChange(event.currentTarget.checked)} />;
  const isList = input.type === "list";
  const written = isList ? ((value ?? []) as readonly string[]).join(", ") : String(value ?? "");
  return <TextInput written={written} placeholder={input.otherwise ?? ""} onText={(next) => onChange(isList ? (next.trim() ? listOf(next) : undefined) : numberOf(next))} />;
}

/** An input whose text means something else than itself: while a hand is in it, it keeps what was typed, such as `1.`. */
function TextInput({ written, placeholder, onText }: { written: string; placeholder: string; onText: (text: string) => void }) {
  const own = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (own.current && document.activeElement !== own.current) own.current.value = written;
  }, [written]);
  return <input ref={own} placeholder={placeholder} onInput={(event) => onText(event.currentTarget.value)} />;
}
