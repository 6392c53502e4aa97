"""MLflow's databases written in bulk: the rows are those of MLflow's own `log_batch`, whatever happens meanwhile."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import signal
import sqlite3
import sys
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow.store.db.utils
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import Metric as MetricEntity
from mlflow.entities import Param, RunTag

from consumers.trackers.mlflow.address import open_backend
from consumers.trackers.mlflow.backend import NewRun
from consumers.trackers.mlflow.database import bulk, postgresql_database
from consumers.trackers.mlflow.database.backend import DatabaseBackend
from consumers.trackers.mlflow.database.revision import REVISION
from consumers.trackers.mlflow.metrics import Metric
from consumers.trackers.mlflow.requests import Call
from consumers.trackers.mlflow.responses import MlflowRefused
from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.testing.checks import assert_read_back, deliver
from gateway.local.command import Command
from gateway.local.ports import HOST
from gateway.local.servers import mlflow_server
from schemas.errors import BadSettings, TrackerUnavailable
from schemas.runtime.settings import Settings
from tests.support.edge_case_runs import edge_case_envelopes
from tests.support.killed_bulk_writer import KILL_POINTS, POINTS, SERIES, envelopes_of
from tests.support.log_author import Author
from tests.support.mlflow_service import MlflowServer
from tests.support.postgres_server import PostgresServer
from tests.support.python_process import PythonProcess

# MLflow 3.17 and SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")

KINDS = ("sqlite", "postgresql")
OLDER = "75868b020152"  # the revision before the one of this release
POINTS_OF_METRICS = st.lists(
    st.lists(
        st.builds(
            Metric,
            key=st.sampled_from(["a", "b"]),
            value=st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, -1.5, 2.0]),
            time_ms=st.integers(0, 2),
            step=st.integers(-1, 1),
        ),
        min_size=1,
        max_size=6,
    ),
    max_size=4,
)


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, mlflow_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with MLflow's tables."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("database") / "mlflow.db"
        shutil.copy(mlflow_tables, file)
        return f"sqlite:///{file}"
    return str(request.getfixturevalue("mlflow_postgresql"))


@pytest.fixture(params=KINDS)
def new_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/mlflow.db"
    return str(request.getfixturevalue("empty_database"))


@pytest.fixture
def backend(address: str) -> Iterator[DatabaseBackend]:
    found = open_backend(address, 1.0)
    assert isinstance(found, DatabaseBackend)
    yield found
    found.close()


@pytest.fixture
def tracker(address: str) -> Iterator[MlflowTracker]:
    tracker = opened(address)
    yield tracker
    tracker.close()


@pytest.fixture
def run_id() -> str:
    return f"bulk-{uuid.uuid4().hex}"


def opened(url: str) -> MlflowTracker:
    tracker = MlflowTracker(url=url)
    tracker.open(Settings())
    return tracker


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, or nothing of another statement."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            return file.execute(sql).fetchall()
    with psycopg.connect(url) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def new_run(backend: DatabaseBackend) -> str:
    return backend.create_run(NewRun("0", "compared", 1, {})).id


def tables_of(url: str, run: str) -> dict[str, list[str]]:
    """Return what is stored of a run, as text: NaN is not stored, and SQLite has 0 and 1 for a truth."""
    columns = {
        "metrics": "key, step, timestamp, value, is_nan",
        "latest_metrics": "key, step, timestamp, value, is_nan",
        "params": "key, value",
        "tags": "key, value",
        "runs": "name, status, lifecycle_stage",
    }
    return {
        name: sorted(repr([one + 0 if isinstance(one, (bool, float)) else one for one in row]) for row in found)
        for name, listed in columns.items()
        for found in [rows(url, f"SELECT {listed} FROM {name} WHERE run_uuid = '{run}'")]
    }


def own_calls(backend: DatabaseBackend, run: str, calls: Sequence[Call]) -> None:
    """Make the same calls of MLflow's own store."""
    for call in calls:
        backend.database.store().log_batch(
            run,
            [MetricEntity(key, value, ms, step) for key, value, ms, step in call.metrics],
            [Param(*one) for one in call.params.items()],
            [RunTag(*one) for one in call.tags.items()],
        )


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points=POINTS_OF_METRICS)
def test_metrics_and_the_latest_of_each_are_those_of_mlflows_own_calls(
    backend: DatabaseBackend, address: str, points: list[list[Metric]]
) -> None:
    calls = [Call(some) for some in points]
    ours, own = new_run(backend), new_run(backend)

    for call in calls:
        backend.log_batch(ours, call)
    own_calls(backend, own, calls)

    assert tables_of(address, ours) == tables_of(address, own)


def test_params_and_tags_are_those_of_mlflows_own_calls(backend: DatabaseBackend, address: str) -> None:
    calls = [
        Call((), {"lr": "0.1", "odd": '"{\\,}"'}, {"a": "1", "mlflow.runName": "first", "é": ""}),
        Call((), {"lr": "0.1", "new": "x" * 6_000}, {"a": "2 NULL", "mlflow.note.content": "a\n\tb"}),
        Call((), {}, {"mlflow.runName": ""}),
        Call((), {}, {"mlflow.runName": "last", "b": "x" * 8_000}),
    ]
    ours, own = new_run(backend), new_run(backend)

    for call in calls:
        backend.log_batch(ours, call)
    own_calls(backend, own, calls)

    assert tables_of(address, ours) == tables_of(address, own)
    with pytest.raises(MlflowRefused, match=r"not allowed.*lr") as refused:
        backend.log_batch(ours, Call([Metric("never", 1.0, 1, 1)], {"lr": "0.2", "other": "1"}, {"a": "3"}))
    assert (refused.value.code, tables_of(address, ours)) == ("INVALID_PARAMETER_VALUE", tables_of(address, own))


def test_a_run_that_is_not_there_or_in_the_trash_is_refused(backend: DatabaseBackend) -> None:
    run = new_run(backend)
    backend.delete_run(run)

    with pytest.raises(MlflowRefused, match="must be in the 'active' state"):
        backend.log_batch(run, Call([Metric("a", 1.0, 1, 1)]))
    with pytest.raises(MlflowRefused, match="not found"):
        backend.log_batch("0" * 32, Call([Metric("a", 1.0, 1, 1)]))


@pytest.mark.parametrize("page", [1, 2, 7])
def test_points_are_read_in_pages(
    tracker: MlflowTracker, run_id: str, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    envelopes = edge_case_envelopes(run_id)
    state = deliver(tracker, run_id, envelopes, {})
    monkeypatch.setattr(bulk, "PAGE_POINTS", page)

    assert_read_back(tracker, run_id, state, envelopes)


def test_a_page_of_sqlite_is_found_by_an_index(mlflow_tables: Path) -> None:
    plans = []
    with closing(sqlite3.connect(mlflow_tables)) as connection:
        for sql, values in ((bulk.page_sql(is_first=True), ["1", 9]), (bulk.page_sql(is_first=False), [*"1a1111", 9])):
            plans.append(str(connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()))

    assert all("index_metrics_run_uuid_key_step" in plan for plan in plans), plans


@pytest.mark.parametrize("found", [OLDER, "fedcba987654"])
def test_tables_of_another_revision_are_left_alone_until_it_is_right(new_address: str, run_id: str, found: str) -> None:
    author, tracker = Author(run_id), opened(new_address)
    state = tracker.deliver(run_id, [author.start()], {})
    more = [author.metrics("loss", [1.0])]
    rows(new_address, f"UPDATE alembic_version SET version_num = '{found}'")
    remedy = "mlflow db upgrade" if found == OLDER else "http://host:port"

    for one in (tracker, opened(new_address)):
        with pytest.raises(TrackerUnavailable, match=f"revision {found}, not {REVISION} .*{remedy}"):
            one.deliver(run_id, more, state)
    counts = rows(new_address, "SELECT count(*) FROM metrics")
    rows(new_address, f"UPDATE alembic_version SET version_num = '{REVISION}'")

    state = tracker.deliver(run_id, more, state, in_doubt=1)
    assert counts == [(0,)]
    assert_read_back(tracker, run_id, state, more)
    tracker.close()


def test_the_revision_is_that_of_the_installed_mlflow() -> None:
    assert mlflow.store.db.utils._get_latest_schema_revision() == REVISION


def test_a_database_of_something_else_gets_no_tables(database: str, run_id: str) -> None:
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    before = rows(database, tables)

    with pytest.raises(TrackerUnavailable, match=r"is no database of MLflow.*give MLflow a database of its own"):
        opened(database).deliver(run_id, [Author(run_id).start()], {})

    assert rows(database, tables) == before


def test_a_killed_delivery_is_repeated_without_loss_and_nothing_is_there_twice(new_address: str, run_id: str) -> None:
    """The first process dies while MLflow makes its tables, the others at points of the first call."""
    envelopes = envelopes_of(run_id)
    for point in KILL_POINTS:
        argv = [sys.executable, "-m", "tests.support.killed_bulk_writer", "mlflow", new_address, run_id, point]
        assert PythonProcess(argv, env=dict(os.environ)).wait(60) == -signal.SIGKILL

    tracker = opened(new_address)
    state = tracker.deliver(run_id, envelopes, {}, in_doubt=len(envelopes))

    assert rows(new_address, "SELECT count(*), count(DISTINCT run_uuid) FROM metrics") == [(POINTS * SERIES, 1)]
    assert rows(new_address, "SELECT count(*), min(step), max(step) FROM latest_metrics") == [
        (SERIES, POINTS - 1, POINTS - 1)
    ]
    assert_read_back(tracker, run_id, state, envelopes)
    tracker.close()


class ServerOf(MlflowServer):
    """A server on a database that exists."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder)
        self._address = address.replace("postgresql:", "postgresql+psycopg:")

    def start(self) -> None:
        self.launch()

    def command(self, folder: Path, port: int) -> Command:
        variables = {
            "_MLFLOW_SERVER_FILE_STORE": self._address,
            "_MLFLOW_SERVER_REGISTRY_STORE": self._address,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./artifacts",
        }
        return mlflow_server.command(variables, ["--host", HOST, "--port", str(port)], folder)


def test_beside_a_server_that_writes_to_the_same_database(
    address: str, tracker: MlflowTracker, run_id: str, tmp_path: Path
) -> None:
    """Runs in bulk and a client of the server, which also writes into one of these runs: all of it is there."""
    server = ServerOf(tmp_path, address)
    server.start()
    runs = {one: envelopes_of(one) for one in (f"{run_id}-{number}" for number in range(4))}
    client = MlflowClient(server.url)
    try:
        first = f"{run_id}-0"
        states = {one: tracker.deliver(one, envelopes[:1], {}) for one, envelopes in runs.items()}
        with ThreadPoolExecutor(4) as threads:
            ends = {
                one: threads.submit(tracker.deliver, one, envelopes[1:], states[one]) for one, envelopes in runs.items()
            }
            logged = 0
            while not all(end.done() for end in ends.values()) or logged < 5:
                client.log_metric(states[first]["run"], "m0", 0.5, timestamp=1, step=10**6 + logged)
                logged += 1
            states = {one: end.result() for one, end in ends.items()}
        shown = client.get_run(states[first]["run"]).data.metrics
        history = client.get_metric_history(states[first]["run"], "m0")
    finally:
        server.stop()

    for one in list(runs)[1:]:
        assert_read_back(tracker, one, states[one], runs[one])
    assert shown == {"m0": 0.5, "m1": POINTS - 1.0, "m2": POINTS - 1.0}
    assert len(history) == POINTS + logged


def test_postgresql_away_and_back(tmp_path: Path, run_id: str) -> None:
    server, author = PostgresServer(tmp_path / "server"), Author(run_id)
    server.start()
    tracker = opened(server.dsn)
    tracker.deliver("other", [Author("other").start()], {})
    server.kill()

    with pytest.raises(TrackerUnavailable, match=r"does not take events now|cannot be opened now"):
        tracker.deliver(run_id, [author.start()], {})
    server.start()

    envelopes = [author.start(), author.metrics("loss", [1.0])]
    assert_read_back(tracker, run_id, tracker.deliver(run_id, envelopes, {}), envelopes)
    tracker.close()
    server.kill()


@pytest.mark.parametrize("trouble", ["locked", "read-only"])
def test_postgresql_that_is_locked_or_read_only_is_an_outage_and_then_continues(
    empty_database: str, run_id: str, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(postgresql_database, "LOCK_S", 1)
    author, tracker = Author(run_id), opened(empty_database)
    state = tracker.deliver(run_id, [author.start()], {})
    more = [author.metrics("loss", [1.0])]
    name = empty_database.rpartition("/")[2]
    with psycopg.connect(empty_database) as other:
        if trouble == "locked":
            other.execute("LOCK TABLE metrics")
        else:
            rows(empty_database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            tracker.close()

        with pytest.raises(TrackerUnavailable, match="lock timeout" if trouble == "locked" else "read-only"):
            tracker.deliver(run_id, more, state)
    if trouble == "read-only":
        with psycopg.connect(empty_database, options="-c default_transaction_read_only=off") as other:
            other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")

    state = tracker.deliver(run_id, more, state, in_doubt=1)
    assert_read_back(tracker, run_id, state, more)
    tracker.close()


def test_a_database_file_that_was_replaced_is_opened_again(mlflow_tables: Path, tmp_path: Path, run_id: str) -> None:
    file = tmp_path / "mlflow.db"
    tracker = opened(f"sqlite:///{file}")
    tracker.deliver("before", [Author("before").start()], {})
    file.unlink()
    shutil.copy(mlflow_tables, file)

    envelopes = [Author(run_id).start(), Author(run_id).metrics("loss", [1.0])]
    state = tracker.deliver(run_id, envelopes, {})

    assert rows(f"sqlite:///{file}", "SELECT count(*) FROM metrics") == [(1,)]
    assert_read_back(tracker, run_id, state, envelopes)
    tracker.close()


def test_new_experiments_of_postgresql_keep_artifacts_where_its_server_does(empty_database: str, run_id: str) -> None:
    made = "SELECT artifact_location FROM experiments WHERE experiment_id > 0 ORDER BY 1"
    places = []
    for default in ("mlflow-artifacts:/0", "s3://bucket/mlruns/0"):
        tracker = opened(empty_database)
        tracker.deliver("first", [Author("first").start()], {})  # makes the tables
        rows(empty_database, f"UPDATE experiments SET artifact_location = '{default}' WHERE experiment_id = 0")
        tracker.close()
        author = Author(f"{run_id} {default}")
        opened(empty_database).deliver(author.run_id, [author.start(tag=default)], {})
        places += rows(empty_database, made)

    assert {str(one[0]).rpartition("/")[0] for one in places} == {"mlflow-artifacts:", "s3://bucket/mlruns"}


@pytest.mark.parametrize("host", ["127.0.0.1:1", "[::1"])
@pytest.mark.parametrize("password", ["s3cret", "s3c%40ret", "s3cret/@:x"])
def test_no_message_shows_a_password(run_id: str, host: str, password: str) -> None:
    with pytest.raises((BadSettings, TrackerUnavailable)) as raised:
        opened(f"postgresql://me:{password}@{host}/mlflow").deliver(run_id, [Author(run_id).start()], {})

    assert "s3c" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://", "postgresql://host", "postgresql+psycopg2://me:pass@host/mlflow"])
def test_other_addresses_of_postgresql_are_refused(url: str) -> None:
    with pytest.raises(BadSettings, match=r"postgresql://user:password@host/database"):
        opened(url)


def test_without_the_driver_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def lacks(name: str, *rest: Any) -> Any:
        return None if name == "psycopg" else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", lacks)

    with pytest.raises(BadSettings, match=r"needs psycopg.*pip install .*\[mlflow-postgresql\]"):
        opened("postgresql://me@host/mlflow")
