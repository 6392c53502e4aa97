/** The rules: what fires when, and what may be done with each. */
import { useEffect, useState } from "preact/hooks";
import { ask, tell } from "../api/client";
import { isAborted } from "../api/errors";
import { mayWrite } from "../api/session";
import { Button } from "../components/button";
import { Menu } from "../components/menu";
import { Problem } from "../components/problem";
import { ago, moment, plural } from "../components/text";
import { toast, toastError } from "../components/toast";
import { now } from "../state/clock";
import { editing, NEW, rule } from "./address";
import { conditionText } from "./condition";
import { loadMutes, muteItems, muteOf, untilText } from "./mutes";
import { RuleDialog } from "./rule_dialog";
import type { Rule } from "./types";

export function Rules() {
  const [rules, setRules] = useState<readonly Rule[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [asked, setAsked] = useState(0);
  const again = (): void => setAsked((count) => count + 1);
  useEffect(() => {
    const stop = new AbortController();
    ask<{ alert_rules: Rule[] }>("/v1/alert-rules?bodies=true&limit=200", { signal: stop.signal, retry: false }).then((answer) => setRules(answer.alert_rules), (problem: unknown) => isAborted(problem) || setError(problem));
    loadMutes(stop.signal);
    return () => stop.abort();
  }, [asked]);
  const flip = async (one: Rule): Promise<void> => {
    const body = { name: one.name, description: one.description, body: one.body, enabled: !one.enabled, based_on: one.version };
    await tell(`/v1/alert-rules/${encodeURIComponent(one.id)}`, { method: "PUT", body });
    toast({ text: `Rule ${one.name} ${one.enabled ? "switched off" : "switched on"}` });
    again();
  };
  const close = (): void => void (editing.value = "");
  return (
    <section class="card">
      <div class="card-head">
        <h2>Rules</h2>
        {rules && <span class="quiet">{plural(rules.length, "rule")}</span>}
        {mayWrite.value && <Button icon="plus" onClick={() => (editing.value = NEW)}>New rule</Button>}
      </div>
      <Problem error={error} />
      {rules?.length === 0 && (
        <div class="card-text">
          <p>No rule is saved. Write one here, or into a file and apply it:</p>
          <pre><code>{"rules:\n  - id: loss-is-nan\n    name: Loss is not a number\n    series: {regex: 'loss$'}\n    when: {kind: nan}"}</code></pre>
          <pre><code>{"gateway alerts test rules.yaml --since 7d    # when would it have fired?\ngateway alerts apply rules.yaml"}</code></pre>
        </div>
      )}
      {rules && rules.length > 0 && (
        <div class="scroll">
          <table class="plain-table">
            <thead><tr><th>rule</th><th>fires when</th><th>of runs</th><th>version</th><th>saved</th><th /></tr></thead>
            <tbody>{rules.map((one) => <RuleRow key={one.id} rule={one} onFlip={() => void flip(one).catch(toastError)} />)}</tbody>
          </table>
        </div>
      )}
      {editing.value && <RuleDialog key={editing.value} id={editing.value === NEW ? "" : editing.value} onClose={close} onSaved={() => (close(), again())} />}
    </section>
  );
}

function RuleRow({ rule: one, onFlip }: { rule: Rule; onFlip: () => void }) {
  const mute = muteOf(one.id);
  return (
    <tr>
      <td>
        <button type="button" class="link" title="Write this rule" onClick={() => (editing.value = one.id)}>{one.name}</button>
        {!one.enabled && <span class="quiet"> off</span>}
        {mute && <> <span class="chip warn">{untilText(mute)}</span></>}
      </td>
      <td title={JSON.stringify(one.body)}>{conditionText(one.body)}</td>
      <td><code>{one.body.where ?? ""}</code></td>
      <td>{one.version}{one.author && <span class="quiet"> by {one.author}</span>}</td>
      <td title={moment(one.updated)}>{ago(one.updated, now.value)}</td>
      <td class="rule-actions">
        {mayWrite.value && <Button onClick={onFlip}>{one.enabled ? "Switch off" : "Switch on"}</Button>}
        <Menu icon="more" title={`More of rule ${one.name}`} class="end" items={() => [{ label: "Show what it fired", icon: "bell", run: () => void (rule.value = one.id) }, ...(mayWrite.value ? muteItems(one.id) : [])]} />
      </td>
    </tr>
  );
}
