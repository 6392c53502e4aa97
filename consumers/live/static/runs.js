// The page that lists runs: loaded from the API, kept moving by the event stream.

import { follow, getFolded, Newest, paced } from "./api.js";
import { byId, setText } from "./dom.js";
import { showNoRuns, showProblem } from "./empty.js";
import { count, plural } from "./format.js";
import { watchHealth } from "./health.js";
import { RunsTable } from "./runs_table.js";

const MOST_RUNS = 1000;
const RELOAD_MS = 2000; // at most this often while events arrive; counts and order come from the store
const FOLDING_MS = 1000; // until it is asked again for what was not folded yet
const TICK_MS = 1000;

const table = new RunsTable(byId("runs"));
const newest = new Newest();
let stop = () => {};

async function load() {
  try {
    const { body, folded } = await getFolded(`/v1/runs?limit=${MOST_RUNS}`);
    if (!newest.isIn(folded)) reload(FOLDING_MS);
    showProblem(byId("problem"), null);
    table.load(body.runs);
  } catch (error) {
    showProblem(byId("problem"), error);
    setTimeout(() => reload(), RELOAD_MS);
  }
  showCount();
}

const reload = paced(load, RELOAD_MS);

function showCount() {
  const { shown, total } = table.counts();
  byId("table-frame").hidden = total === 0;
  if (total === 0 && byId("problem").hidden) showNoRuns(byId("empty"));
  else byId("empty").hidden = true;
  const most = total === MOST_RUNS ? "newest " : "";
  setText(byId("count"), total === 0 ? "" : shown === total ? `${most}${plural(total, "run")}` : `${count(shown)} of ${most}${plural(total, "run")}`);
}

function connect() {
  stop();
  stop = follow(
    { points: "last" },
    {
      onEvent: (event) => {
        newest.see(event);
        table.take(event);
        reload();
      },
      onState: () => {},
      onLost: () => {
        reload();
        connect();
      },
    },
  );
}

byId("filter").addEventListener("input", (event) => {
  table.filter(event.target.value);
  showCount();
});
setInterval(() => document.hidden || table.tick(), TICK_MS);
watchHealth();
connect(); // first: what happens while the list is loaded asks for it again
load();
