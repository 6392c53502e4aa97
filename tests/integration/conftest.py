"""Fixtures of the tests that talk to trackers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import services
from tests.support.delivery_process import Place
from tests.support.lines_tracker import Lines
from tests.support.mlflow_service import MlflowServer, running_mlflow


@pytest.fixture
def place(kafka: str, topic: str, database: str, tmp_path: Path) -> Place:
    """An empty log and database, and a folder for trackers."""
    return Place(kafka, topic, database, tmp_path)


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    """The tracker that fails on command; processes find it with `Lines.variables`."""
    return Lines(tmp_path)


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment at which nothing listens, as `HTTP_PROXY` on a cluster, and no `NO_PROXY`."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        for one in (name, name.upper()):
            monkeypatch.setenv(one, "" if "no" in one.lower() else "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def mlflow_tables(session_folder: Path) -> Path:
    """A database file of MLflow's to copy: MLflow takes seconds to create its tables, and one to be imported."""
    from consumers.trackers.mlflow.tracker import MlflowTracker
    from consumers.trackers.testing.checks import deliver
    from consumers.trackers.testing.runs import RunAuthor
    from schemas.runtime.settings import Settings

    file = session_folder / "mlflow-tables" / "mlflow.db"
    tracker = MlflowTracker(url=f"sqlite:///{file}")
    tracker.open(Settings())
    deliver(tracker, "first", [RunAuthor("first").start()], {})
    tracker.close()
    return file


@pytest.fixture(scope="session")
def mlflow_server(session_folder: Path) -> Iterator[MlflowServer]:
    """A real MLflow server, shared by all tests; each test uses its own runs and experiments."""
    with running_mlflow(session_folder / "mlflow") as server:
        yield server


@pytest.fixture(params=["server", "sqlite", "postgresql"])
def mlflow_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of MLflow, of each kind."""
    if request.param == "server":
        return str(request.getfixturevalue("mlflow_server").url)
    if request.param == "postgresql":
        return str(request.getfixturevalue("mlflow_postgresql"))
    file = tmp_path / "mlflow.db"
    shutil.copy(request.getfixturevalue("mlflow_tables"), file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def mlflow_postgresql(postgres_server: str) -> Iterator[str]:
    """Address of a PostgreSQL database of MLflow's, shared by all tests; each test uses its own runs."""
    dsn = services.run(services.create_database(postgres_server, empty=True))
    yield dsn
    services.run(services.drop_database(postgres_server, dsn))
