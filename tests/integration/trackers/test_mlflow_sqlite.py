"""MLflow's SQLite database opened directly: faults are reported within seconds, writers do not disturb each other."""

from __future__ import annotations

import importlib.util
import json
import math
import sqlite3
import stat
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from consumers.trackers.mlflow.database import sqlite_database
from consumers.trackers.mlflow.database.backend import DatabaseBackend
from consumers.trackers.mlflow.mapping_state import MAX_KEPT
from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.testing.checks import assert_read_back
from consumers.trackers.testing.runs import RunAuthor
from gateway.local.servers import mlflow_server
from schemas import events as ev
from schemas.errors import BadSettings, TrackerUnavailable
from schemas.runtime.settings import Settings
from tests.support.edge_case_runs import edge_case_envelopes, facts_of, mlflow_points_of
from tests.support.log_author import Author

# MLflow 3.17 and SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


@pytest.fixture(scope="module")
def database(session_folder: Path) -> str:
    return f"sqlite:///{session_folder}/mlflow-{uuid.uuid4().hex}/runs.db"


@pytest.fixture
def tracker(database: str) -> Iterator[MlflowTracker]:
    tracker = opened(database)
    yield tracker
    tracker.close()


@pytest.fixture
def run_id() -> str:
    return f"database-{uuid.uuid4().hex}"


def opened(url: str) -> MlflowTracker:
    tracker = MlflowTracker(url=url)
    tracker.open(Settings())
    return tracker


@pytest.mark.parametrize("last", ["b", "a"])
@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_a_copy_that_a_killed_move_began_goes_to_the_trash_if_a_later_move_does_not_want_it(
    tracker: MlflowTracker, database: str, run_id: str, monkeypatch: pytest.MonkeyPatch, killed_at: int, last: str
) -> None:
    author, calls = RunAuthor(run_id), [0]
    begin = [author.start(tag=f"{run_id} a"), author.metrics("loss", [1.0])]
    moves = [author.envelope(ev.Moved(time=author.now(), tag=f"{run_id} {name}")) for name in ("c", last)]
    state = tracker.deliver(run_id, begin, {})
    log_batch = DatabaseBackend.log_batch

    def killed(backend: DatabaseBackend, run: str, call: Any) -> None:
        calls[0] += 1
        if calls[0] == killed_at:
            raise KeyboardInterrupt
        log_batch(backend, run, call)

    monkeypatch.setattr(DatabaseBackend, "log_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        tracker.deliver(run_id, moves[:1], state)
    monkeypatch.undo()
    state = tracker.deliver(run_id, moves, state, in_doubt=1)

    assert_read_back(tracker, run_id, state, begin + moves)
    client = MlflowClient(database)
    named = {one.experiment_id: one.name for one in client.search_experiments() if one.name.startswith(run_id)}
    found = client.search_runs(list(named))
    assert [(run.info.run_id, named[run.info.experiment_id]) for run in found] == [(state["run"], f"{run_id} {last}")]


def test_a_run_with_more_names_than_a_checkpoint_holds(tracker: MlflowTracker, run_id: str) -> None:
    """Delivered in two calls, and once more from its start: names, parameters and tags come from the server then."""
    author, names = RunAuthor(run_id), [f"{number}{'x' * 300}" for number in range(MAX_KEPT + 20)]
    calls = [
        [author.start(), author.params(1, **dict.fromkeys(names, 0.5)), author.tags(**dict.fromkeys(names, "text"))],
        [author.metrics(name, [1.0, math.inf, 1.0], [0, 1, 0]) for name in names[MAX_KEPT:]],
    ]

    state = tracker.deliver(run_id, calls[1], tracker.deliver(run_id, calls[0], {}))
    again = tracker.deliver(run_id, [*calls[0], *calls[1]], {})

    for kept in (state, again):
        assert_read_back(tracker, run_id, kept, [*calls[0], *calls[1]])
    assert len(json.dumps(state)) < 1_000_000


def test_a_run_is_kept_and_mlflow_itself_finds_it(tracker: MlflowTracker, database: str, run_id: str) -> None:
    envelopes = edge_case_envelopes(run_id)

    state = tracker.deliver(run_id, envelopes, {})

    found = tracker.read_back(run_id, state)
    run = MlflowClient(database).get_run(state["run"])
    assert facts_of(run_id, found.points, len(found.params)) == facts_of(run_id, mlflow_points_of(envelopes), 3)
    assert (run.info.run_name, run.info.status, run.data.tags["team"]) == ("odd one", "FAILED", "vision")
    assert list(Path(run.info.artifact_uri.removeprefix("file://")).rglob("*.jsonl"))


def test_several_runs_at_once(tracker: MlflowTracker, run_id: str) -> None:
    runs = {f"{run_id}-{number}": edge_case_envelopes(f"{run_id}-{number}") for number in range(6)}

    with ThreadPoolExecutor(6) as threads:
        states = dict(zip(runs, threads.map(lambda one: tracker.deliver(one, runs[one], {}), runs), strict=True))

    for one, envelopes in runs.items():
        found = tracker.read_back(one, states[one])
        assert facts_of(one, found.points, len(found.params)) == facts_of(one, mlflow_points_of(envelopes), 3)


def test_a_locked_database_is_an_outage_and_then_continues(
    tracker: MlflowTracker, database: str, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = Author(run_id)
    state = tracker.deliver(run_id, [author.start()], {})
    more = [author.metrics("loss", [1.0])]
    monkeypatch.setattr(sqlite_database, "PROBE_S", 0.1)
    other = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(TrackerUnavailable, match="locked"):
        tracker.deliver(run_id, more, state)
    other.execute("ROLLBACK")
    other.close()

    state = tracker.deliver(run_id, more, state, in_doubt=1)
    assert [point.value for point in tracker.read_back(run_id, state).points] == [1.0]


@pytest.mark.parametrize("broken", ["in a file", "not a database", "a folder"])
def test_an_unusable_database_is_an_outage(tmp_path: Path, run_id: str, broken: str) -> None:
    path = tmp_path / "runs.db"
    if broken == "in a file":
        (tmp_path / "file").write_text("in the way")
        path = tmp_path / "file" / "runs.db"
    elif broken == "not a database":
        path.write_text("this is no database at all" * 100)
    else:
        path.mkdir(mode=stat.S_IRWXU)

    with pytest.raises(TrackerUnavailable, match=r"runs\.db does not take events now"):
        opened(f"sqlite:///{path}").deliver(run_id, [Author(run_id).start()], {})


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "file:/tmp/mlruns", "mlruns"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(BadSettings, match=r"sqlite:///mlflow\.db"):
        opened(url)


def test_with_mlflows_client_alone_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def lacks(name: str, *rest: Any) -> Any:
        return None if name == "sqlalchemy" else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", lacks)

    with pytest.raises(BadSettings, match=r"pip install .*mlflow-server"):
        opened("sqlite:///mlflow.db")


def test_a_starting_server_of_the_stack_finds_the_points_of_a_run_without_those_of_others(tmp_path: Path) -> None:
    folder = tmp_path / "mlflow"
    tracker = opened(f"sqlite:///{folder}/mlflow.db")
    for number in range(20):
        author = Author(f"run-{number}")
        tracker.deliver(author.run_id, [author.start(), author.metrics("loss", [1.0] * 100)], {})
    odd = Author("odd")
    names = [odd.metrics(f"a{number}", [1.0]) for number in range(1_500)]  # one point each; they sort first
    tracker.deliver(odd.run_id, [odd.start(), *names], {})
    tracker.close()

    def plan() -> str:
        history = "SELECT * FROM metrics WHERE run_uuid = '1' AND key = 'loss' ORDER BY timestamp, step, value LIMIT 9"
        with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
            return str(connection.execute(f"EXPLAIN QUERY PLAN {history}").fetchall())

    before = plan()
    mlflow_server.prepare(folder, port=1)

    assert "(run_uuid=? AND key=?)" not in before
    assert "(run_uuid=? AND key=?)" in plan()


@pytest.mark.parametrize(
    "content", [b"", b"no database", b"SQLite format 3\0" + b"\1" * 4096], ids=["empty", "text", "torn"]
)
def test_a_server_of_the_stack_starts_with_any_database_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)

    assert mlflow_server.prepare(tmp_path, port=1).argv[0] == sys.executable
