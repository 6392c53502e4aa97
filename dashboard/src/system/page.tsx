/** How everything that reads the log is doing: lag, workers, trackers, dead letters, backfill. */
import type { ComponentChildren } from "preact";
import { usePolled } from "../api/polled";
import { Problem } from "../components/problem";
import { count, moment } from "../components/text";
import { runPage } from "../state/address";
import { consumers, lagVerdict, trackerVerdict } from "./health";
import type { Consumer, Status, Verdict } from "./health";
import "../styles/system.css";

const EVERY_MS = 3_000;

interface Health {
  missing?: Record<string, string>;
}

export default function SystemPage() {
  const status = usePolled<Status>("/v1/status", EVERY_MS);
  const health = usePolled<Health>("/healthz", EVERY_MS);
  const found = status.answer;
  const missing = missingOf(health.answer, health.error);
  return (
    <div class="page system">
      <h1>System</h1>
      <Problem error={status.error} />
      {Object.entries(missing).map(([name, why]) => (
        <div class="problem" role="alert" key={name}>
          <strong>{name === "postgres" ? "PostgreSQL" : name === "kafka" ? "Kafka" : name} is away</strong>
          <p>{why}</p>
        </div>
      ))}
      {found?.problems.map((problem) => <div class="problem" role="alert" key={problem}>{problem}</div>)}
      {found && <Body status={found} />}
      {found && <p class="quiet">Read {moment(status.at * 1000)}; again every {EVERY_MS / 1000} s. The same for programs: <a href="/v1/status">/v1/status</a>, <code>gateway status</code>.</p>}
    </div>
  );
}

/** The services that /healthz misses, also from its refusal. */
function missingOf(answer: Health | null, error: unknown): Record<string, string> {
  const body = (error as { body?: Health } | null)?.body ?? answer;
  return body?.missing ?? {};
}

function Body({ status }: { status: Status }) {
  const all = consumers(status.lag);
  const lagOf = (tracker: string): number | null => all.find((one) => one.name === `delivery/${tracker}`)?.lag ?? null;
  return (
    <>
      <Card title="Consumers of the log" empty={all.length ? "" : "No consumer has read the log yet."}>
        <table class="plain-table">
          <thead>
            <tr><th>consumer</th><th>state</th><th class="num">behind</th><th>partitions</th></tr>
          </thead>
          <tbody>{all.map((one) => <ConsumerRow key={one.name} consumer={one} />)}</tbody>
        </table>
      </Card>
      <Card title="Trackers" empty={status.deliveries.length ? "" : "This stack delivers to no tracker."}>
        <table class="plain-table">
          <thead>
            <tr><th>tracker</th><th>state</th><th class="num">runs</th><th class="num">parked</th><th class="num">trying again</th><th class="num">read again</th><th class="num">in doubt</th><th>next call</th></tr>
          </thead>
          <tbody>
            {status.deliveries.map((one) => (
              <tr key={one.tracker}>
                <td><strong>{one.tracker}</strong></td>
                <td><Said verdict={trackerVerdict(one, lagOf(one.tracker))} /></td>
                <td class="num">{count(one.runs)}</td>
                <td class="num">{count(one.parked)}</td>
                <td class="num">{count(one.waiting)}</td>
                <td class="num" title="runs whose backlog is read again from their own offsets">{count(one.behind)}</td>
                <td class="num">{count(one.in_doubt)}</td>
                <td>{one.retry_at === null ? "" : moment(one.retry_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Card>
      <Card title="Dead letters" empty="">
        <DeadLetters status={status} />
      </Card>
    </>
  );
}

function ConsumerRow({ consumer }: { consumer: Consumer }) {
  const longest = Math.max(1, ...consumer.partitions.map((one) => one.lag ?? 0));
  return (
    <tr>
      <td><strong>{consumer.name}</strong></td>
      <td><Said verdict={lagVerdict(consumer.lag)} /></td>
      <td class="num">{consumer.lag === null ? "?" : count(consumer.lag)}</td>
      <td>
        <div class="partitions">
          {consumer.partitions.map((one) => (
            <span key={one.partition} class="partition" title={`partition ${one.partition}: offset ${count(one.offset)} of ${one.end === null ? "?" : count(one.end)}`}>
              {one.partition}
              <meter min={0} max={longest} value={one.lag ?? 0} />
              <span class="num">{one.lag === null ? "?" : count(one.lag)}</span>
            </span>
          ))}
        </div>
      </td>
    </tr>
  );
}

function DeadLetters({ status: { dead_letters: letters, newest_dead_letter: newest } }: { status: Status }) {
  if (letters === null) return <p class="card-text">Their number is unknown while PostgreSQL does not answer.</p>;
  if (letters === 0) return <p class="card-text"><Said verdict={{ tone: "good", text: "none", next: "" }} /> Every record could be folded.</p>;
  return (
    <div class="card-text">
      <Said verdict={{ tone: "bad", text: `${count(letters)} without a decision`, next: "" }} /> <code>gateway dead-letters list</code> shows them, <code>replay</code> and <code>discard</code> decide.
      {newest && (
        <dl class="facts">
          <div><dt>newest</dt><dd class="mono">{newest.id}</dd></div>
          <div><dt>run</dt><dd>{newest.run === null ? "none" : <a href={runPage(newest.run)}>{newest.run}</a>}</dd></div>
          <div><dt>why</dt><dd>{newest.kind}: {newest.reason}</dd></div>
          <div><dt>when</dt><dd>{moment(newest.time * 1000)}</dd></div>
        </dl>
      )}
    </div>
  );
}

function Said({ verdict }: { verdict: Verdict }) {
  return (
    <>
      <span class={`chip ${verdict.tone}`}>{verdict.text}</span>
      {verdict.next && <div class="quiet">{verdict.next}</div>}
    </>
  );
}

function Card({ title, empty, children }: { title: string; empty: string; children: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      {empty ? <p class="card-text quiet">{empty}</p> : <div class="scroll">{children}</div>}
    </section>
  );
}
