"""
MLflow's own SQLite database on this machine, without a server: `sqlite:///path/mlflow.db`.

MLflow's store tries to connect ten times with growing pauses, 101 s in all, and waits 20 s for a locked database; so
the place is looked at first, and what is missing, locked or not writable is told within PROBE_S. Writes go one at a
time: SQLite has one writer, and a thread that waits for it in Python wakes when it is free instead of asking again.
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

from consumers.trackers.mlflow.backend import Held, New
from consumers.trackers.mlflow.metrics import Metric
from consumers.trackers.mlflow.requests import Call
from consumers.trackers.mlflow.responses import EXISTS, MISSING, MlflowRefused, NothingDone, refused
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable

T = TypeVar("T")
SCHEME = "sqlite:///"
PROBE_S = 2.0
PAGE_POINTS = 25_000
PAGE = 1_000  # runs or experiments
ARTIFACTS = "mlflow-artifacts"  # folder beside the database, for experiments that are made here


class DatabasePlace:
    """One SQLite database of MLflow, opened at the first call."""

    def __init__(self, url: str) -> None:
        self.where = url
        path = url.removeprefix(SCHEME).partition("?")[0]
        if not path or path.startswith(":memory:"):
            raise BadSettings("MLflow's database has no file: write sqlite:///mlflow.db or sqlite:////folder/mlflow.db")
        if importlib.util.find_spec("sqlalchemy") is None or importlib.util.find_spec("alembic") is None:
            raise BadSettings(
                "MLflow's database is opened by the whole of MLflow, and only its client is installed: "
                'run `pip install "tracking-gateway[mlflow-server]"`, or give the address of a server, http://host:port'
            )
        self._path = Path(path).absolute()
        self._store: Any = None
        self._lock = threading.RLock()  # for writes, and while the store is opened

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made when it is not there."""
        found = self._read(lambda store: store.get_experiment_by_name(name))
        if found is None:
            place = (self._path.parent / ARTIFACTS).as_uri()
            try:
                return str(self._write(lambda store: store.create_experiment(name, place, [])))
            except MlflowRefused as error:
                if error.code not in EXISTS:
                    raise
                found = self._read(lambda store: store.get_experiment_by_name(name))
        if found.lifecycle_stage != "active":
            raise TrackerRefused(f"MLflow's experiment {name!r:.200} is deleted: restore it, or delete it for good")
        return str(found.experiment_id)

    def find(self, tag: str, value: str) -> list[Held]:
        """Return the active runs that have this tag, in the order of their ids."""

        def ask(store: Any) -> list[Any]:
            experiments = [item.experiment_id for item in _pages(store.search_experiments)]
            asked = f"tags.`{tag}` = '{value}'"
            return list(store.search_runs(experiments, asked, ViewType.ACTIVE_ONLY, max_results=PAGE))

        return sorted(map(_held, self._read(ask)), key=lambda held: held.run)

    def create(self, new: New) -> Held:
        """Make a run."""
        tags = [RunTag(key, text) for key, text in new.tags.items()]
        made = self._write(lambda store: store.create_run(new.experiment, "unknown", new.started_ms, tags, new.name))
        return _held(made)

    def held(self, run: str) -> Held:
        """Return what is known of a run."""
        return _held(self._read(lambda store: store.get_run(run)))

    def log(self, run: str, call: Call) -> None:
        """Log metrics, params and tags."""
        metrics = [MetricEntity(key, value, ms, step) for key, value, ms, step in call.metrics]
        params = [Param(key, text) for key, text in call.params.items()]
        tags = [RunTag(key, text) for key, text in call.tags.items()]
        self._write(lambda store: store.log_batch(run, metrics, params, tags))

    def history(self, run: str, key: str) -> Iterator[Metric]:
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
        """Set a run's status, and its end."""
        self._write(lambda store: store.update_run_info(run, RunStatus.from_string(status), ended_ms, None))

    def delete(self, run: str) -> None:
        """Move a run to the trash."""
        self._write(lambda store: store.delete_run(run))

    def delete_tag(self, run: str, key: str) -> None:
        """Delete a tag; one that is not there is no error."""
        try:
            self._write(lambda store: store.delete_tag(run, key))
        except MlflowRefused as error:
            if error.code != MISSING:
                raise

    def keep(self, artifacts: str, path: str, content: bytes) -> str:
        """Write an artifact into a folder of this machine; return why not, or nothing when it is kept."""
        if not artifacts.startswith(("file:", "/")):
            return f"artifacts of this database are at {artifacts.partition(':')[0]}, not in a folder of this machine"
        folder, name = posixpath.split(path)
        target = _folder(artifacts) / folder
        try:
            target.mkdir(parents=True, exist_ok=True)
            beside = target / f".{name}.part"
            beside.write_bytes(content)
            beside.replace(target / name)
        except OSError as error:
            return f"{target}: {error.strerror or error}"
        return ""

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._store is not None:
                self._store.engine.dispose()
                self._store = None

    def _read(self, ask: Callable[[Any], T]) -> T:
        store = self._opened()
        try:
            return ask(store)
        except MlflowException as error:
            raise refused(self.where, str(error), str(error.error_code)) from error

    def _write(self, do: Callable[[Any], T]) -> T:
        with self._lock:
            self._probe()
            return self._read(do)

    def _opened(self) -> Any:
        with self._lock:
            if self._store is None:
                self._probe()
                from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # takes half a second

                place = (self._path.parent / ARTIFACTS).as_uri()
                try:
                    self._store = SqlAlchemyStore(self.where, place)
                except MlflowException as error:  # its tables are those of another release, and it says what to run
                    raise TrackerUnavailable(f"MLflow's database {self.where} cannot be used ({error})") from error
            return self._store

    def _probe(self) -> None:
        """Raise NothingDone when the database cannot be written now."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            line = sqlite3.connect(self._path, timeout=PROBE_S, isolation_level=None)
            try:
                line.execute("BEGIN IMMEDIATE")
                line.execute("ROLLBACK")
            finally:
                line.close()
        except (OSError, sqlite3.Error) as error:
            raise NothingDone(f"MLflow's database {self.where} does not take events now ({error})") from error


def _pages(ask: Callable[..., Any]) -> Iterator[Any]:
    page = ask(max_results=PAGE)
    yield from page
    while page.token:
        page = ask(max_results=PAGE, page_token=page.token)
        yield from page


def _page(store: Any, *, run: str, key: str, token: str | None) -> Any:
    return store.get_metric_history(run, key, PAGE_POINTS, token)


def _folder(artifacts: str) -> Path:
    return Path(unquote(urlsplit(artifacts).path)) if artifacts.startswith("file:") else Path(artifacts)


def _held(run: Any) -> Held:
    return Held(
        run=run.info.run_id,
        artifacts=run.info.artifact_uri or "",
        status=run.info.status,
        started_ms=run.info.start_time,
        ended_ms=run.info.end_time,
        is_active=run.info.lifecycle_stage == "active",
        keys=list(run.data.metrics),
        params=run.data.params,
        tags=run.data.tags,
    )
