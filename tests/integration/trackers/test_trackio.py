"""Projects of trackio, read by trackio itself, and faults of their files."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consumers.trackers.protocol import State, Tracker
from consumers.trackers.testing.checks import assert_read_back, deliver
from consumers.trackers.testing.runs import RunAuthor, edge_case_run, points_of
from consumers.trackers.trackio import backend as trackio_backend
from consumers.trackers.trackio.tracker import TrackioTracker
from schemas import events as ev
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.mapping.names import trackio_key, trackio_project
from schemas.runtime.settings import Settings
from schemas.values import Histogram, HistogramValue
from schemas.wire import Envelope
from tests.support.process_tree import until

ROOT = Path(__file__).parents[3]
# Reads with trackio, in a separate process, because trackio takes its folder when it is imported.
READ = """
import json, sys
import trackio
from trackio.sqlite_storage import SQLiteStorage

project = sys.argv[1]
found = [
    {
        "id": run.id, "name": run.name, "config": run.config, "alerts": run.alerts(),
        "logs": SQLiteStorage.get_logs(project, run.name, run_id=run.id),
        "system": SQLiteStorage.get_system_logs(project, run.name, run_id=run.id),
    }
    for run in trackio.Api().runs(project)
]
json.dump(found, sys.stdout)
"""
LOG = """
import sys
from trackio.sqlite_storage import SQLiteStorage

project, run, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for step in range(count):
    SQLiteStorage.bulk_log(project, run, [{"theirs": 0.5}], [step], None, {"by": "hand"}, [f"{run}-{step}"])
"""
PROJECTS = """
import json, sys, trackio
from trackio.sqlite_storage import SQLiteStorage

for project in sys.argv[1:]:
    SQLiteStorage.validate_project_name(project)
print(json.dumps([[run.id, run.config["gw.tag"]] for name in sys.argv[1:] for run in trackio.Api().runs(name)]))
"""
SCHEMA = "import sys; from trackio.sqlite_storage import SQLiteStorage; SQLiteStorage.init_db(sys.argv[1])"
DELIVER = """
import json, sys
from pathlib import Path
from tests.integration.trackers.test_trackio import long_run, opened
from consumers.trackers.testing.checks import deliver

folder, run_id = sys.argv[1:]
tracker = opened(Path(folder))
print("ready", flush=True)
sys.stdin.readline()
state = deliver(tracker, run_id, long_run(run_id), {}, size=3)
tracker.close()
print(json.dumps(state), flush=True)
"""
FILLED = """
import resource, sys
from pathlib import Path
from tests.integration.trackers.test_trackio import long_run, opened
from consumers.trackers.testing.checks import deliver

tracker = opened(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    deliver(tracker, "run-1", long_run("run-1"), {})
except Exception as error:  # of any type: the test checks its name
    print(type(error).__name__, error)
"""


def opened(folder: Path) -> Tracker:
    tracker = TrackioTracker(folder=str(folder))
    tracker.open(Settings())
    return tracker


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Tracker]:
    tracker = opened(tmp_path)
    yield tracker
    tracker.close()


def long_run(run_id: str) -> list[Envelope]:
    author = RunAuthor(run_id)
    more = [author.metrics(f"series {number}", [0.5 + number] * 200) for number in range(40)]
    return [author.start(tag="many"), author.params(lr=0.1), *more, author.finish()]


def python(code: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=variables(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def variables(folder: Path) -> dict[str, str]:
    kept = {
        name: text for name, text in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    }
    return kept | {"TRACKIO_DIR": str(folder), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def read(folder: Path, project: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(python(READ, folder, project))
    return runs


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def schema_of(path: Path) -> dict[str, Any]:
    """Return the tables with their columns and indexes, without those that are ours."""
    names = [name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        name: (
            [row[1:] for row in query(path, f"PRAGMA table_info({name})")],
            {
                index: (unique, partial, query(path, f"PRAGMA index_xinfo({index})"))
                for _, index, unique, _, partial in query(path, f"PRAGMA index_list({name})")
            },
        )
        for name in names
        if not name.startswith(("gateway_", "sqlite_"))
    }


def test_trackio_reads_every_point_at_its_own_step_and_time(tmp_path: Path, tracker: Tracker) -> None:
    envelopes = edge_case_run("odd 😀/run")
    deliver(tracker, "odd 😀/run", envelopes, {}, size=5)

    (run,) = read(tmp_path, "contract")
    seen = {"timestamp", "step"} | {f"seen {number}" for number in range(4)}
    found = sorted(
        (key, row["step"], row["timestamp"][:23], repr(value + 0.0))
        for row in run["logs"]
        for key, value in row.items()
        if key not in seen
    )

    assert (run["id"], run["name"]) == ("odd 😀/run", "odd one")
    assert found == sorted(
        (trackio_key(one.series), one.step, instant_ms(one.time_ms), repr(one.value + 0.0))
        for one in points_of(envelopes)
    )


def instant_ms(time_ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds")[:23]


def test_trackio_shows_config_status_tags_and_alerts(tmp_path: Path, tracker: Tracker) -> None:
    author = RunAuthor("run-1")
    envelopes = [
        author.start(name="one", tag="vision", group="sweep", parent_run_id="parent"),
        author.params(lr=0.1, _secret="x", gw="y"),
        author.tags(team="a"),
        author.envelope(ev.Note(time=author.now(), text="odd")),
        author.envelope(ev.RunFailed(time=author.now(), message="ValueError: odd")),
    ]
    deliver(tracker, "run-1", envelopes, {}, size=2)

    (run,) = read(tmp_path, "vision")
    config = run["config"]

    assert {name: config[name] for name in ("lr", "~_secret", "gw", "gw.tag.team", "gw.note", "gw.status")} == {
        "lr": 0.1, "~_secret": "x", "gw": "y", "gw.tag.team": "a", "gw.note": "odd", "gw.status": "failed",
    }  # fmt: skip
    assert (config["_Group"], config["gw.parent_run_id"]) == ("sweep", "parent")
    assert config["_Created"].startswith("2017-07-14T02:40:00.0015")
    assert [(one["title"], one["text"], one["level"]) for one in run["alerts"]] == [
        ("Run failed", "ValueError: odd", "error")
    ]


def test_trackio_shows_system_metrics_histograms_and_text(tmp_path: Path, tracker: Tracker) -> None:
    author = RunAuthor("run-1")
    time = author.now()
    cpu = ev.Series(name="system/cpu", steps=array("q", [7]), times=array("q", [time]), values=array("d", [12.5]))
    histogram = HistogramValue(value=Histogram(counts=array("d", [1, 2]), edges=array("d", [0, 1, 2])))
    envelopes = [
        author.start(tag="vision"),
        author.envelope(ev.SystemMetrics(time=time, series=[cpu])),
        author.envelope(
            ev.Values(time=time, values=[ev.Observation(name="weights", step=3, time=time, value=histogram)])
        ),
    ]
    state = deliver(tracker, "run-1", envelopes, {})

    (run,) = read(tmp_path, "vision")

    assert [row["system/cpu"] for row in run["system"]] == [12.5]
    assert [row["weights"] for row in run["logs"] if "weights" in row] == [
        {"_type": "trackio.histogram", "bins": [0.0, 1.0, 2.0], "values": [1.0, 2.0]}
    ]
    assert [(one.step, one.value) for one in tracker.read_back("run-1", state).points] == [(7, 12.5)]


def test_the_schema_is_the_one_that_trackio_creates(tmp_path: Path, tracker: Tracker) -> None:
    deliver(tracker, "run-1", [RunAuthor("run-1").start(tag="ours")], {})
    python(SCHEMA, tmp_path, "theirs")

    assert schema_of(tmp_path / "ours.db") == schema_of(tmp_path / "theirs.db")
    assert query(tmp_path / "ours.db", "PRAGMA user_version") == query(tmp_path / "theirs.db", "PRAGMA user_version")


def test_trackio_itself_may_write_to_the_project(tmp_path: Path, tracker: Tracker) -> None:
    python(LOG, tmp_path, "many", "theirs", "3")
    envelopes = long_run("run-1")
    state = deliver(tracker, "run-1", envelopes[:20], {})
    python(LOG, tmp_path, "many", "theirs", "5")

    state = deliver(tracker, "run-1", envelopes[20:], state)
    theirs = next(run for run in read(tmp_path, "many") if run["name"] == "theirs")

    assert_read_back(tracker, "run-1", state, envelopes)
    assert ([row["step"] for row in theirs["logs"]], theirs["config"]) == ([0, 1, 2, 3, 4], {"by": "hand"})


def test_what_trackio_adds_to_a_run_survives_its_delivery_from_the_start(tmp_path: Path, tracker: Tracker) -> None:
    envelopes = long_run("run-1")
    deliver(tracker, "run-1", envelopes, {})
    python(LOG, tmp_path, "many", "run-1", "2")

    state = deliver(tracker, "run-1", envelopes, {})
    extra = [one for one in tracker.read_back("run-1", state).points if one.series == "theirs"]

    assert [(one.step, one.value) for one in extra] == [(0, 0.5), (1, 0.5)]


def test_a_project_of_any_name_is_found_by_trackio(tmp_path: Path, tracker: Tracker) -> None:
    tags = ["model_artifacts", "registry-x", "a/b", "a_b", "😀" * 300, "é ü", "x" * 300, "..", "_x2f_", "CON", "b"]
    for number, tag in enumerate(tags):
        author = RunAuthor(f"run-{number}")
        deliver(tracker, f"run-{number}", [author.start(tag=tag), author.metrics("loss", [1.0])], {})

    found = json.loads(python(PROJECTS, tmp_path, *map(trackio_project, tags)))

    assert found == [[f"run-{number}", tag] for number, tag in enumerate(tags)]


def test_a_run_is_shown_once_under_its_last_name(tmp_path: Path, tracker: Tracker) -> None:
    author = RunAuthor("run-1")
    envelopes = [
        author.metrics("loss", [1.0]),
        author.start(name="first"),
        author.metrics("loss", [2.0]),
        author.rename("run", "", "last"),
        author.metrics("loss", [3.0]),
    ]
    deliver(tracker, "run-1", envelopes, {}, size=1)

    (run,) = read(tmp_path, "tracking-gateway")

    assert (run["name"], [row["loss"] for row in run["logs"] if "loss" in row]) == ("last", [1.0, 2.0, 3.0])


def test_times_after_the_year_9999_are_read_back(tracker: Tracker) -> None:
    author = RunAuthor("run-1", time=2**62 - 10_000)
    envelopes = [author.start(), author.metrics("loss", [1.0, 2.0]), author.finish()]

    state = deliver(tracker, "run-1", envelopes, {})
    run = tracker.read_back("run-1", state)

    assert_read_back(tracker, "run-1", state, envelopes)
    assert (run.started, run.ended) == (envelopes[0].event.time, envelopes[-1].event.time)


def test_points_of_one_step_and_instant_share_a_row(tmp_path: Path, tracker: Tracker) -> None:
    author = RunAuthor("run-1")
    time = author.now()
    series = [
        ev.Series(name=name, steps=array("q", [0, 1]), times=array("q", [time, time + 1]), values=values)
        for name, values in (("loss", array("d", [1, 2])), ("acc", array("d", [3, 4])), ("loss", array("d", [5, 6])))
    ]
    envelopes = [author.start(tag="t"), author.envelope(ev.Metrics(time=author.now(), series=series))]
    state = deliver(tracker, "run-1", envelopes, {})

    rows = query(tmp_path / "t.db", "SELECT step, metrics FROM metrics WHERE log_id NOT GLOB '*-start' ORDER BY id")

    assert_read_back(tracker, "run-1", state, envelopes)
    assert [(step, json.loads(text)) for step, text in rows] == [
        (0, {"loss": 1.0, "acc": 3.0}), (1, {"loss": 2.0, "acc": 4.0}), (0, {"loss": 5.0}), (1, {"loss": 6.0}),
    ]  # fmt: skip


def test_a_locked_database_is_an_outage(tmp_path: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackio_backend, "BUSY_S", 0.05)
    envelopes = long_run("run-1")
    state = deliver(tracker, "run-1", envelopes[:5], {})

    with closing(sqlite3.connect(tmp_path / "many.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TrackerUnavailable, match=r"many\.db cannot be used now \(database is locked\)"):
            deliver(tracker, "run-1", envelopes[5:], state)
        other.execute("ROLLBACK")

    assert_read_back(tracker, "run-1", deliver(tracker, "run-1", envelopes[5:], state), envelopes)


def test_a_full_disk_is_an_outage(tmp_path: Path) -> None:
    assert python(FILLED, tmp_path, str(tmp_path)).startswith("TrackerUnavailable")


@pytest.mark.parametrize("content", [b"", b"x" * 5_000], ids=["empty", "garbage"])
def test_a_file_that_is_not_a_database(tmp_path: Path, tracker: Tracker, content: bytes) -> None:
    (tmp_path / "many.db").write_bytes(content)
    (tmp_path / "other.db").write_bytes(b"garbage")
    (tmp_path / "a folder.db").mkdir()

    if content:
        with pytest.raises(TrackerRefused, match="is damaged, or not a database"):
            deliver(tracker, "run-1", long_run("run-1"), {})
    else:
        assert_read_back(tracker, "run-1", deliver(tracker, "run-1", long_run("run-1"), {}), long_run("run-1"))


@pytest.mark.parametrize("sql", ["CREATE TABLE mine (x)", "CREATE TABLE metrics (run_name TEXT, metrics TEXT)"])
def test_a_database_of_another_program(tmp_path: Path, tracker: Tracker, sql: str) -> None:
    with closing(sqlite3.connect(tmp_path / "many.db")) as other:
        other.execute(sql)

    with pytest.raises(TrackerRefused, match=r"is not a project of trackio 0\.24 or newer"):
        deliver(tracker, "run-1", long_run("run-1"), {})


def test_a_project_that_trackio_is_creating_is_an_outage(tmp_path: Path, tracker: Tracker) -> None:
    with closing(sqlite3.connect(tmp_path / "many.db")) as other:
        other.execute("CREATE TABLE metrics (run_id TEXT, metrics TEXT)")

    with (tmp_path / "many.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TrackerUnavailable, match="is being created by trackio"):
            deliver(tracker, "run-1", long_run("run-1"), {})


def test_a_project_is_created_by_one_process_at_a_time(tmp_path: Path, tracker: Tracker) -> None:
    """Of two that switch a new file to the write-ahead log, SQLite refuses one at once: "database is locked"."""
    with ThreadPoolExecutor(1) as other, (tmp_path / "many.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        delivered = other.submit(deliver, tracker, "run-1", long_run("run-1"), {})
        with pytest.raises(FutureTimeout):
            delivered.result(0.5)
        fcntl.flock(lock, fcntl.LOCK_UN)
        state = delivered.result(60)

    assert_read_back(tracker, "run-1", state, long_run("run-1"))


def test_a_project_that_is_gone_is_not_created_again_silently(tmp_path: Path, tracker: Tracker) -> None:
    envelopes = long_run("run-1")
    state = deliver(tracker, "run-1", envelopes[:5], {})
    for file in tmp_path.glob("many.db*"):
        file.unlink()

    with pytest.raises(TrackerRefused, match="is gone: put it back, or deliver the run again from the start"):
        deliver(tracker, "run-1", envelopes[5:], state)
    with pytest.raises(TrackerRefused, match="is gone"):
        tracker.read_back("run-1", state)

    assert_read_back(tracker, "run-1", deliver(tracker, "run-1", envelopes, {}), envelopes)


def test_a_run_that_was_deleted_in_trackio_is_reported(tmp_path: Path, tracker: Tracker) -> None:
    envelopes = long_run("run-1")
    state = deliver(tracker, "run-1", envelopes[:5], {})
    delete = "import sys, trackio; [run] = trackio.Api().runs('many'); sys.exit(not run.delete())"
    python(delete, tmp_path)

    with pytest.raises(TrackerRefused, match="project 'many' of trackio does not have the run any more"):
        deliver(tracker, "run-1", envelopes[5:], state)
    with pytest.raises(TrackerRefused, match="does not have the run any more"):
        tracker.read_back("run-1", state)


def test_starting_over_removes_the_run_from_its_project(tmp_path: Path, tracker: Tracker) -> None:
    author = RunAuthor("run-1")
    envelopes = [author.metrics("loss", [1.0]), author.start()]
    state = deliver(tracker, "run-1", envelopes, {})
    other = TrackioTracker(folder=str(tmp_path), project="elsewhere")
    other.open(Settings())

    assert other.start_over("run-1", state) == {}
    state = deliver(other, "run-1", envelopes, {})

    assert_read_back(other, "run-1", state, envelopes)
    assert (read(tmp_path, "tracking-gateway"), len(read(tmp_path, "elsewhere"))) == ([], 1)
    other.close()


def test_more_projects_than_are_kept_open(tmp_path: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackio_backend, "MAX_OPEN", 2)
    runs = {f"run-{number}": edge_case_run(f"run-{number}") for number in range(6)}
    for number, envelopes in enumerate(runs.values()):
        envelopes[0] = envelopes[0]._replace(event=envelopes[0].event.model_copy(update={"tag": f"tag {number}"}))

    def deliver_run(run_id: str) -> State:
        return deliver(tracker, run_id, runs[run_id], {}, size=4)

    with ThreadPoolExecutor(4) as threads:
        states = list(threads.map(deliver_run, runs))
    deliver(tracker, "last", [RunAuthor("last").start(tag="last")], {})
    kept_open = {path.stem for path in tmp_path.glob("*.db-wal")}

    for (run_id, envelopes), state in zip(runs.items(), states, strict=True):
        assert_read_back(tracker, run_id, state, envelopes)
    assert "last" in kept_open
    assert len(kept_open) == 2


def test_two_processes_write_to_one_project(tmp_path: Path, tracker: Tracker) -> None:
    ids = ["run-1", "run-2"]
    started = [process(tmp_path, one) for one in ids]
    for one in started:
        one.stdin.write("go\n")
        one.stdin.flush()
    printed = [one.communicate(timeout=120)[0] for one in started]

    for run_id, text in zip(ids, printed, strict=True):
        assert_read_back(tracker, run_id, json.loads(text.splitlines()[-1]), long_run(run_id))


def test_a_process_that_is_killed_leaves_nothing_twice(tmp_path: Path, tracker: Tracker) -> None:
    envelopes = long_run("run-1")
    one = process(tmp_path, "run-1")
    one.stdin.write("go\n")
    one.stdin.flush()
    until(lambda: one.poll() is not None or count(tmp_path / "many.db") > 500, "some rows")
    one.send_signal(signal.SIGKILL)
    one.communicate(timeout=60)

    assert_read_back(tracker, "run-1", deliver(tracker, "run-1", envelopes, {}, size=4), envelopes)


def count(path: Path) -> int:
    try:
        return int(query(path, "SELECT count(*) FROM metrics")[0][0])
    except sqlite3.Error:  # its schema is being created
        return 0


def process(folder: Path, run_id: str) -> Any:
    started = subprocess.Popen(
        [sys.executable, "-c", DELIVER, str(folder), run_id],
        env=variables(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def test_delivering_needs_no_trackio(tmp_path: Path) -> None:
    code = DELIVER.replace('print("ready", flush=True)\nsys.stdin.readline()\n', "") + "print(*sys.modules)"

    assert "trackio" not in python(code, tmp_path, str(tmp_path), "run-1").splitlines()[-1].split()
