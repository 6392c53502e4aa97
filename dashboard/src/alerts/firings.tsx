/** What fires and fired, newest first. */
import { useState } from "preact/hooks";
import { ask } from "../api/client";
import { mayWrite } from "../api/session";
import { Button } from "../components/button";
import { Menu } from "../components/menu";
import { Status } from "../components/status";
import { ago, duration, moment, value } from "../components/text";
import { toastError } from "../components/toast";
import { runPage } from "../state/address";
import { now } from "../state/clock";
import { rule, state } from "./address";
import { muteItems, muteOf, untilText } from "./mutes";
import { momentPage } from "./rule";
import type { Alert, AlertsAnswer } from "./types";

export function Firings({ path, first }: { path: string; first: AlertsAnswer }) {
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
    <section class="card" aria-label="Alerts">
      <div class="scroll">
        <table class="plain-table">
          <thead>
            <tr><th>state</th><th>rule</th><th>run</th><th>series</th><th class="num">value</th><th class="num">step</th><th>fired</th><th>for</th><th>why</th><th /></tr>
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
  const page = runPage(alert.run_id);
  const mute = muteOf(alert.rule_id, alert.run_id);
  return (
    <tr>
      <td>
        <Status state={alert.state} title={alert.resolution} />
        {alert.muted && <span class="quiet"> not sent</span>}
      </td>
      <td><button type="button" class="link" onClick={() => (rule.value = alert.rule_id)}>{alert.name}</button> <span class={`chip ${TONES[alert.severity]}`}>{alert.severity}</span></td>
      <td><a href={page}>{alert.run_id}</a>{mute && <> <span class="chip warn">{untilText(mute)}</span></>}</td>
      <td>{alert.series}</td>
      <td class="num">{value(alert.value)}</td>
      <td class="num">{alert.step === null ? "" : <a href={momentPage(page, alert.series, alert.step)} title="Show this moment in its chart">{value(alert.step)}</a>}</td>
      <td title={moment(alert.fired)}>{ago(alert.fired, now.value)}</td>
      <td>{duration((alert.resolved ?? now.value * 1000) - alert.fired)}</td>
      <td>{alert.message}{alert.resolution && <div class="quiet">{alert.resolution}</div>}</td>
      <td>{mayWrite.value && <Menu icon="more" title={`More of this alert of ${alert.run_id}`} class="end" items={() => [...muteItems(alert.rule_id, alert.run_id), ...muteItems(alert.rule_id)]} />}</td>
    </tr>
  );
}
