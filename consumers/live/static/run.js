// The page of one run: snapshot first, then the stream from exactly there.

import { ApiError, follow, get, getFolded, Newest, paced, runApi } from "./api.js";
import { Charts } from "./charts.js";
import { byId, setText } from "./dom.js";
import { showProblem, showUnknownRun } from "./empty.js";
import { watchHealth } from "./health.js";
import { showTree } from "./runlog.js";
import { runDuration, showSummary } from "./summary.js";

const RELOAD_LOG_MS = 2000; // at most this often while events arrive
const FOLDING_MS = 400; // until it is asked again for what was not folded yet
const TREE_POINTS = 50; // of each series in the tree; the raw JSON has more, the charts have all
const RETRY_MS = 2000;
const ASK_AGAIN_MS = 1000;
const BUCKETS = 1000;
const WINDOW = 48; // series asked for at once: a run may have thousands
const LOG_SERIES = 100; // in the tree
const TYPING_MS = 250;
const DRAWN = new Set(["metrics", "system_metrics"]);
// After these a series is not what it was plus points: charts are loaded afresh.
const REWRITES = new Set(["run_resumed", "deleted", "renamed", "lifecycle_stage", "moved"]);

const runId = readRunId();
const charts = new Charts(byId("charts"), () => loadMore());
const newest = new Newest();
let log = null;
let stop = () => {};
let match = ""; // words that the names of the series shown contain
let token = null; // of the next window; null: all that match are loaded
let asked = 0; // number of the newest question for a window: answers to older ones are dropped

function readRunId() {
  const text = location.pathname.slice("/runs/".length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not percent-encoded UTF-8: taken as it stands
  }
}

async function loadLog() {
  const { body, folded } = await getFolded(`${runApi(runId)}/log?max_points=${TREE_POINTS}&max_series=${LOG_SERIES}`);
  log = body;
  if (!newest.isIn(folded)) reloadLog(FOLDING_MS);
  document.title = `${log.name || log.run_id} · tracking-gateway`;
  showSummary(byId("summary"), log);
  showTree(byId("log"), log);
}

const reloadLog = paced(async () => {
  try {
    await loadLog();
    showProblem(byId("problem"), null);
  } catch (error) {
    showProblem(byId("problem"), error);
    setTimeout(() => reloadLog(), RETRY_MS);
  }
}, RELOAD_LOG_MS);

async function start() {
  stop();
  try {
    const mine = (asked += 1);
    const [page] = await Promise.all([getWindow({ atLeast: charts.wanted }), loadLog()]);
    if (mine !== asked) return; // another start or filter is under way
    showProblem(byId("problem"), null);
    byId("empty").hidden = true;
    byId("run").hidden = false;
    charts.retain(page.series.map((one) => one.series));
    show(page);
    charts.release();
    connect({ run: runId, since: `${page.as_of.partition}:${page.as_of.offset}` });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 404 && !log) waitForFirstEvent();
    else {
      showProblem(byId("problem"), error);
      setTimeout(start, RETRY_MS);
    }
  }
}

const restart = paced(start, RELOAD_LOG_MS);

async function getWindow(given) {
  const { atLeast = 0, after = "", minOffsets = "" } = given;
  const params = new URLSearchParams({ buckets: BUCKETS, limit: Math.max(WINDOW, Math.min(atLeast, 10 * WINDOW)) });
  if (match) params.set("match", match);
  if (after) params.set("page_token", after);
  if (minOffsets) params.set("min_offsets", minOffsets);
  return get(`${runApi(runId)}/series?${params}`);
}

function show(page) {
  token = page.next_page_token;
  charts.load(page, { match, isWhole: token === null });
}

// The stream goes on meanwhile. The window includes all that was seen before, so what follows continues it without a gap.
async function loadWindow(after) {
  const mine = (asked += 1);
  charts.hold();
  try {
    const page = await getWindow({ after, minOffsets: newest.text() });
    if (mine !== asked) return;
    showProblem(byId("problem"), null);
    show(page);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (mine !== asked) return;
    showProblem(byId("problem"), error);
    setTimeout(() => mine === asked && loadWindow(after), RETRY_MS);
  } finally {
    if (mine === asked) charts.release();
  }
}

const loadMore = () => token && loadWindow(token);
const refilter = paced(() => loadWindow(""), TYPING_MS);

function connect(params) {
  stop = follow(params, {
    onEvent: (event) => {
      newest.see(event);
      if (DRAWN.has(event.kind)) charts.append(event);
      if (REWRITES.has(event.kind)) restart();
      else reloadLog();
    },
    onState: showLive,
    onLost: () => restart(),
  });
}

function waitForFirstEvent() {
  byId("run").hidden = true;
  showUnknownRun(byId("empty"), runId);
  // Its first event may come, or be folded, between our question and the stream: ask once more when that is open.
  const askAgain = () => setTimeout(() => get(`${runApi(runId)}/log?max_points=1`).then(() => restart(), () => {}), ASK_AGAIN_MS);
  stop = follow({ run: runId, points: "last" }, { onEvent: () => restart(), onState: (state) => state === "live" && askAgain(), onLost: () => restart() });
}

function showLive(state) {
  const chip = byId("live");
  chip.className = `chip chip-${state === "live" ? "good" : "busy"}`;
  setText(chip, state === "live" ? "live" : "reconnecting");
}

for (const radio of document.querySelectorAll("#x-axis input")) radio.addEventListener("change", () => charts.across(radio.value));
byId("series-filter").addEventListener("input", (event) => {
  match = event.target.value.trim();
  charts.filter(match);
  if (!charts.isComplete) refilter();
});
byId("raw").href = `${runApi(runId)}/log`;
setInterval(() => {
  const cell = document.querySelector('[data-fact="Duration"] dd');
  if (log && cell && !document.hidden) setText(cell, runDuration(log, Date.now()));
}, 1000);
watchHealth();
start();
