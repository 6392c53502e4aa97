/** What fires, what fired, and the rules that say so. */
import { useEffect } from "preact/hooks";
import { paced } from "../api/paced";
import { usePolled } from "../api/polled";
import { follow } from "../api/stream";
import { Button } from "../components/button";
import { Problem } from "../components/problem";
import { rule, state } from "./address";
import { Firings } from "./firings";
import { Rules } from "./rules";
import type { AlertsAnswer } from "./types";
import "../styles/system.css";
import "./alerts.css";

const EVERY_MS = 60_000; // what fires and is resolved comes by the stream
const AGAIN_MS = 500; // the list is read again at most this often
const PAGE = 100;
const STATES = [["all", "All"], ["firing", "Firing"], ["resolved", "Resolved"]] as const;

export default function AlertsPage() {
  const params = new URLSearchParams({ state: state.value, limit: String(PAGE) });
  if (rule.value) params.set("rule_id", rule.value);
  const path = `/v1/alerts?${params}`;
  const newest = usePolled<AlertsAnswer>(path, EVERY_MS);
  useEffect(() => {
    const again = paced(() => newest.again(), AGAIN_MS);
    const end = follow({ topics: { alerts: {} } }, { onNews: () => again.ask(), onReset: () => again.ask() });
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
