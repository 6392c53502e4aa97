/** What fires, what fired, and the rules that say so. */
import { useEffect, useState } from "preact/hooks";
import { ask, tell } from "../api/client";
import { paced } from "../api/paced";
import { usePolled } from "../api/polled";
import { mayWrite } from "../api/session";
import { follow } from "../api/stream";
import type { Numeric } from "../api/types";
import { Button } from "../components/button";
import { Problem } from "../components/problem";
import { Status } from "../components/status";
import { ago, duration, moment, plural, value } from "../components/text";
import { toast, toastError } from "../components/toast";
import { field, runPage } from "../state/address";
import { now } from "../state/clock";
import { choice, text } from "../state/codecs";
import { conditionText } from "./condition";
import type { RuleBody } from "./condition";
import "../styles/system.css";

const EVERY_MS = 60_000; // what fires and is resolved comes by the stream
const AGAIN_MS = 500; // the list is read again at most this often
const PAGE = 100;

const STATES = [["all", "All"], ["firing", "Firing"], ["resolved", "Resolved"]] as const;
const state = field("state", choice(["all", "firing", "resolved"] as const));
const rule = field("rule", text());

interface Alert {
  alert_id: string;
  rule_id: string;
  version: number;
  name: string;
  severity: "info" | "warning" | "critical";
  state: "firing" | "resolved";
  run_id: string;
  series: string;
  fired: number;
  resolved: number | null;
  step: number | null;
  value: Numeric | null;
  message: string;
  resolution: string;
  muted: boolean;
}

interface AlertsAnswer {
  alerts: Alert[];
  next_page_token: string | null;
}

interface Rule {
  id: string;
  name: string;
  enabled: boolean;
  description: string;
  body: RuleBody | null;
  version: number;
  author: string;
  updated: number;
}

export default function AlertsPage() {
  const params = new URLSearchParams({ state: state.value, limit: String(PAGE) });
  if (rule.value) params.set("rule_id", rule.value);
  const path = `/v1/alerts?${params}`;
  const newest = usePolled<AlertsAnswer>(path, EVERY_MS);
  useEffect(() => {
    const again = paced(() => newest.again(), AGAIN_MS);
    const end = follow({ topics: { alerts: {} } }, { onEvents: () => undefined, onNews: () => again.ask(), onReset: () => again.ask() });
    return () => {
      end();
      again.stop();
    };
  }, []);
  return (
    <div class="page alerts">
      <div class="alerts-bar">
        <h1>Alerts</h1>
        {STATES.map(([name, label]) => <Button key={name} pressed={state.value === name} onClick={() => (state.value = name)}>{label}</Button>)}
        {rule.value && <Button icon="close" onClick={() => (rule.value = "")}>rule {rule.value}</Button>}
      </div>
      <Problem error={newest.error} />
      {newest.answer && <Firings key={path} path={path} first={newest.answer} />}
      <Rules />
    </div>
  );
}

function Firings({ path, first }: { path: string; first: AlertsAnswer }) {
  const [older, setOlder] = useState<readonly Alert[]>([]);
  const [token, setToken] = useState<string | null | undefined>(undefined); // undefined: no older page was read
  const known = new Set(first.alerts.map((one) => one.alert_id));
  const all = [...first.alerts, ...older.filter((one) => !known.has(one.alert_id))];
  const next = token === undefined ? first.next_page_token : token;
  const more = async (): Promise<void> => {
    const answer = await ask<AlertsAnswer>(`${path}&page_token=${encodeURIComponent(next ?? "")}`);
    setOlder([...older, ...answer.alerts]);
    setToken(answer.next_page_token);
  };
  if (!all.length) return <p class="quiet">{state.value === "firing" ? "Nothing fires." : "Nothing has fired yet."}</p>;
  return (
    <section class="card">
      <div class="scroll">
        <table class="plain-table">
          <thead>
            <tr><th>state</th><th>rule</th><th>run</th><th>series</th><th class="num">value</th><th class="num">step</th><th>fired</th><th>for</th><th>why</th></tr>
          </thead>
          <tbody>{all.map((one) => <Firing key={one.alert_id} alert={one} />)}</tbody>
        </table>
      </div>
      {next && <p class="card-text"><Button onClick={() => void more().catch(toastError)}>Older ones</Button></p>}
    </section>
  );
}

const TONES = { info: "plain", warning: "warn", critical: "bad" } as const;

function Firing({ alert }: { alert: Alert }) {
  return (
    <tr>
      <td><Status state={alert.state} title={alert.resolution} />{alert.muted && <span class="quiet"> muted</span>}</td>
      <td><button type="button" class="link" onClick={() => (rule.value = alert.rule_id)}>{alert.name}</button> <span class={`chip ${TONES[alert.severity]}`}>{alert.severity}</span></td>
      <td><a href={runPage(alert.run_id)}>{alert.run_id}</a></td>
      <td>{alert.series}</td>
      <td class="num">{value(alert.value)}</td>
      <td class="num">{value(alert.step)}</td>
      <td title={moment(alert.fired)}>{ago(alert.fired, now.value)}</td>
      <td>{duration((alert.resolved ?? now.value * 1000) - alert.fired)}</td>
      <td>{alert.message}{alert.resolution && <div class="quiet">{alert.resolution}</div>}</td>
    </tr>
  );
}

function Rules() {
  const [rules, setRules] = useState<readonly Rule[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [asked, again] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    ask<{ alert_rules: Rule[] }>("/v1/alert-rules?bodies=true&limit=200", { signal: stop.signal, retry: false }).then((answer) => setRules(answer.alert_rules), setError);
    return () => stop.abort();
  }, [asked]);
  const flip = async (one: Rule): Promise<void> => {
    const body = { name: one.name, description: one.description, body: one.body ?? {}, enabled: !one.enabled, based_on: one.version };
    await tell(`/v1/alert-rules/${encodeURIComponent(one.id)}`, { method: "PUT", body });
    toast({ text: `Rule ${one.name} ${one.enabled ? "switched off" : "switched on"}` });
    again(asked + 1);
  };
  return (
    <section class="card">
      <div class="card-head"><h2>Rules</h2>{rules && <span class="quiet">{plural(rules.length, "rule")}</span>}</div>
      <Problem error={error} />
      {rules?.length === 0 && (
        <div class="card-text">
          <p>No rule is saved. Write one into a file and apply it:</p>
          <pre><code>{"rules:\n  - id: loss-is-nan\n    name: Loss is not a number\n    series: {regex: 'loss$'}\n    when: {kind: nan}"}</code></pre>
          <pre><code>{"gateway alerts test rules.yaml --since 7d    # when would it have fired?\ngateway alerts apply rules.yaml"}</code></pre>
        </div>
      )}
      {rules && rules.length > 0 && (
        <div class="scroll">
          <table class="plain-table">
            <thead><tr><th>rule</th><th>fires when</th><th>of runs</th><th>version</th><th>saved</th><th /></tr></thead>
            <tbody>
              {rules.map((one) => (
                <tr key={one.id}>
                  <td><button type="button" class="link" onClick={() => (rule.value = one.id)}>{one.name}</button>{!one.enabled && <span class="quiet"> off</span>}</td>
                  <td title={JSON.stringify(one.body)}>{conditionText(one.body)}</td>
                  <td><code>{one.body?.where ?? ""}</code></td>
                  <td>{one.version}{one.author && <span class="quiet"> by {one.author}</span>}</td>
                  <td title={moment(one.updated)}>{ago(one.updated, now.value)}</td>
                  <td>{mayWrite.value && <Button onClick={() => void flip(one).catch(toastError)}>{one.enabled ? "Switch off" : "Switch on"}</Button>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
