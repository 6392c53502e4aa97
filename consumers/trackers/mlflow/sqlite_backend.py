"""
MLflow's own SQLite database on this machine, without a server: `sqlite:///path/mlflow.db`.

MLflow's store tries to connect ten times with growing pauses, 101 s in total, and waits 20 s for a locked database.
Therefore each call probes the database first, and a missing, locked or read-only one is reported within PROBE_S. Writes
run one at a time: SQLite has a single writer, and a thread that waits for a lock in Python wakes as soon as it is free,
without polling.
"""

from __future__ import annotations

import importlib.util
import posixpath
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from mlflow.entities import Metric as MetricEntity
from mlflow.entities import Param, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException

from consumers.trackers.mlflow.backend import Experiment, NewRun, RemoteRun
from consumers.trackers.mlflow.metrics import Metric
from consumers.trackers.mlflow.requests import Call
from consumers.trackers.mlflow.responses import EXISTS, MISSING, MlflowRefused, NothingDone, error_of
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable

T = TypeVar("T")
SCHEME = "sqlite:///"
PROBE_S = 2.0
PAGE_POINTS = 25_000
PAGE = 1_000  # runs or experiments
ARTIFACTS = "mlflow-artifacts"  # folder next to the database, for experiments that are created here


class SqliteBackend:
    """One SQLite database of MLflow, opened by the first call."""

    def __init__(self, url: str) -> None:
        self.address = url
        path = url.removeprefix(SCHEME).partition("?")[0]
        if not path or path.startswith(":memory:"):
            raise BadSettings("MLflow's database has no file: write sqlite:///mlflow.db or sqlite:////folder/mlflow.db")
        if importlib.util.find_spec("sqlalchemy") is None or importlib.util.find_spec("alembic") is None:
            raise BadSettings(
                "MLflow's database needs the whole of MLflow, and only its client is installed: "
                'run `pip install "tracking-gateway[mlflow-server]"`, or give the address of a server, http://host:port'
            )
        self._path = Path(path).absolute()
        self._store: Any = None
        self._lock = threading.RLock()  # for writes, and for opening the store

    def ensure_experiment(self, name: str) -> str:
        """Return the id of an experiment; create it if it does not exist."""
        found = self.find_experiment(name)
        if found is None:
            artifact_uri = (self._path.parent / ARTIFACTS).as_uri()
            try:
                return str(self._write(lambda store: store.create_experiment(name, artifact_uri, [])))
            except MlflowRefused as error:
                if error.code not in EXISTS:
                    raise
                found = self.find_experiment(name)
        if found is None or not found.is_active:
            raise TrackerRefused(f"MLflow's experiment {name!r:.200} is deleted: restore it, or delete it for good")
        return found.id

    def find_experiment(self, name: str) -> Experiment | None:
        """Return the experiment with this name, also a deleted one; None if there is none."""
        found = self._read(lambda store: store.get_experiment_by_name(name))
        return None if found is None else _experiment(found)

    def get_experiment(self, experiment: str) -> Experiment:
        """Return the experiment with this id."""
        return _experiment(self._read(lambda store: store.get_experiment(experiment)))

    def find_runs(self, tag: str, value: str) -> list[RemoteRun]:
        """Return the runs that have this tag, ordered by id: the active ones, and those that the log put away."""

        def search(store: Any) -> list[Any]:
            experiments = [item.experiment_id for item in _pages(store.search_experiments)]
            query = f"tags.`{tag}` = '{value}'"
            return list(store.search_runs(experiments, query, ViewType.ALL, max_results=PAGE))

        runs = [run for run in map(_remote_run, self._read(search)) if run.is_active or run.is_put_away]
        return sorted(runs, key=lambda run: run.id)

    def create_run(self, new: NewRun) -> RemoteRun:
        """Create a run."""
        tags = [RunTag(key, text) for key, text in new.tags.items()]
        return _remote_run(
            self._write(lambda store: store.create_run(new.experiment_id, "unknown", new.started_ms, tags, new.name))
        )

    def get_run(self, run: str) -> RemoteRun:
        """Return what MLflow holds of a run."""
        return _remote_run(self._read(lambda store: store.get_run(run)))

    def log_batch(self, run: str, call: Call) -> None:
        """Log metrics, params and tags."""
        metrics = [MetricEntity(key, value, ms, step) for key, value, ms, step in call.metrics]
        params = [Param(key, text) for key, text in call.params.items()]
        tags = [RunTag(key, text) for key, text in call.tags.items()]
        self._write(lambda store: store.log_batch(run, metrics, params, tags))

    def metric_history(self, run: str, key: str) -> Iterator[Metric]:
        """Yield every point of one metric, page by page."""
        token: str | None = None
        while True:
            page = self._read(partial(_page, run=run, key=key, token=token))
            for row in page:
                yield Metric(key, float(row.value), row.timestamp, row.step)
            token = page.token
            if not token:
                return

    def set_status(self, run: str, status: str, ended_ms: int | None) -> None:
        """Set the status of a run and its end."""
        self._write(lambda store: store.update_run_info(run, RunStatus.from_string(status), ended_ms, None))

    def delete_run(self, run: str) -> None:
        """Move a run to the trash."""
        self._write(lambda store: store.delete_run(run))

    def restore_run(self, run: str) -> None:
        """Take a run out of the trash; does nothing if it is not there."""
        self._write(lambda store: store.restore_run(run))

    def delete_tag(self, run: str, key: str) -> None:
        """Delete a tag; does nothing if the run does not have it."""
        try:
            self._write(lambda store: store.delete_tag(run, key))
        except MlflowRefused as error:
            if error.code != MISSING:
                raise

    def store_artifact(self, artifact_uri: str, path: str, content: bytes) -> str:
        """Write an artifact to a folder on this machine; return "" if it is stored, otherwise the reason."""
        if not artifact_uri.startswith(("file:", "/")):
            scheme = artifact_uri.partition(":")[0]
            return f"artifacts of this database are at {scheme}, not in a folder on this machine"
        folder, name = posixpath.split(path)
        target = _folder(artifact_uri) / folder
        try:
            target.mkdir(parents=True, exist_ok=True)
            part = target / f".{name}.part"
            part.write_bytes(content)
            part.replace(target / name)
        except OSError as error:
            return f"{target}: {error.strerror or error}"
        return ""

    def load_artifacts(self, artifact_uri: str, folder: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of every artifact in a folder and below; nothing if there is no such folder."""
        if artifact_uri.startswith(("file:", "/")):
            root = _folder(artifact_uri)
            for path in sorted((root / folder).rglob("*.jsonl")):
                yield str(path.relative_to(root)), path.read_bytes()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._store is not None:
                self._store.engine.dispose()
                self._store = None

    def _read(self, query: Callable[[Any], T]) -> T:
        store = self._opened()
        try:
            return query(store)
        except MlflowException as error:
            raise error_of(self.address, str(error), str(error.error_code)) from error

    def _write(self, change: Callable[[Any], T]) -> T:
        with self._lock:
            self._probe()
            return self._read(change)

    def _opened(self) -> Any:
        with self._lock:
            if self._store is None:
                self._probe()
                from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # takes half a second

                artifact_uri = (self._path.parent / ARTIFACTS).as_uri()
                try:
                    self._store = SqlAlchemyStore(self.address, artifact_uri)
                except MlflowException as error:  # its tables are those of another release; the text names the remedy
                    raise TrackerUnavailable(f"MLflow's database {self.address} cannot be used ({error})") from error
            return self._store

    def _probe(self) -> None:
        """Raise NothingDone if the database cannot be written now."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=PROBE_S, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            finally:
                connection.close()
        except (OSError, sqlite3.Error) as error:
            raise NothingDone(f"MLflow's database {self.address} does not take events now ({error})") from error


def _pages(search: Callable[..., Any]) -> Iterator[Any]:
    page = search(max_results=PAGE)
    yield from page
    while page.token:
        page = search(max_results=PAGE, page_token=page.token)
        yield from page


def _page(store: Any, *, run: str, key: str, token: str | None) -> Any:
    return store.get_metric_history(run, key, PAGE_POINTS, token)


def _folder(artifact_uri: str) -> Path:
    return Path(unquote(urlsplit(artifact_uri).path)) if artifact_uri.startswith("file:") else Path(artifact_uri)


def _experiment(found: Any) -> Experiment:
    return Experiment(str(found.experiment_id), found.name, found.lifecycle_stage == "active")


def _remote_run(run: Any) -> RemoteRun:
    return RemoteRun(
        id=run.info.run_id,
        artifact_uri=run.info.artifact_uri or "",
        status=run.info.status,
        started_ms=run.info.start_time,
        ended_ms=run.info.end_time,
        is_active=run.info.lifecycle_stage == "active",
        metric_keys=list(run.data.metrics),
        params=run.data.params,
        tags=run.data.tags,
        experiment_id=str(run.info.experiment_id),
    )
