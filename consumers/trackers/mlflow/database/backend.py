"""
MLflow's own database, reached without a server.

Experiments and runs are found, created and changed by MLflow's store. Points, params and tags are written in bulk
(bulk.py), in one transaction a call: MLflow's `log_batch` makes an object of every row, and takes 0.1 ms for it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from mlflow.entities import RunStatus, RunTag
from mlflow.exceptions import MlflowException

from consumers.trackers.mlflow.backend import Experiment, NewRun, RemoteRun
from consumers.trackers.mlflow.database import bulk
from consumers.trackers.mlflow.database.connection import Database
from consumers.trackers.mlflow.metrics import Metric, MetricColumns
from consumers.trackers.mlflow.requests import Call
from consumers.trackers.mlflow.responses import EXISTS, MISSING, MlflowRefused, error_of
from schemas.errors import TrackerRefused

T = TypeVar("T")
CALL_POINTS = 50_000  # in one transaction, which keeps other writers of an SQLite database waiting: half a second


class DatabaseBackend:
    """One database of MLflow's, opened by the first call."""

    call_bytes = 2 * 1024 * 1024  # 50,000 points or more

    def __init__(self, database: Database) -> None:
        self.address = database.address
        self.database = database

    def ensure_experiment(self, name: str) -> str:
        """Return the id of an experiment; create it if it does not exist."""
        found = self.find_experiment(name)
        if found is None:
            location = self.database.artifact_location
            try:
                return str(self._change(lambda store: store.create_experiment(name, location, [])))
            except MlflowRefused as error:
                if error.code not in EXISTS:
                    raise
                found = self.find_experiment(name)
        if found is None or not found.is_active:
            raise TrackerRefused(f"MLflow's experiment {name!r:.200} is deleted: restore it, or delete it for good")
        return found.id

    def find_experiment(self, name: str) -> Experiment | None:
        """Return the experiment with this name, also a deleted one; None if there is none."""
        found = self._ask(lambda store: store.get_experiment_by_name(name))
        return None if found is None else _experiment(found)

    def get_experiment(self, experiment: str) -> Experiment:
        """Return the experiment with this id."""
        return _experiment(self._ask(lambda store: store.get_experiment(experiment)))

    def find_runs(self, tag: str, value: str) -> list[RemoteRun]:
        """Return the runs that have this tag, ordered by id: the active ones, and those that the log put away."""
        found = self.database.read(partial(bulk.tagged_runs, tag=tag, value=value))
        runs = [run for run in map(self.get_run, found) if run.is_active or run.is_put_away]
        return sorted(runs, key=lambda run: run.id)

    def create_run(self, new: NewRun) -> RemoteRun:
        """Create a run. Raises NothingDone if it was certainly not created."""
        tags = [RunTag(key, text) for key, text in new.tags.items()]
        return _remote_run(
            self._change(lambda store: store.create_run(new.experiment_id, "unknown", new.started_ms, tags, new.name))
        )

    def get_run(self, run: str) -> RemoteRun:
        """Return what MLflow holds of a run."""
        return _remote_run(self._ask(lambda store: store.get_run(run)))

    def split(self, metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Call]:
        """Yield calls of CALL_POINTS; the first has all params and tags."""
        if metrics or params or tags:
            yield Call(metrics[:CALL_POINTS], params, tags)
        for first in range(CALL_POINTS, len(metrics), CALL_POINTS):
            yield Call(metrics[first : first + CALL_POINTS])

    def log_batch(self, run: str, call: Call) -> None:
        """Log metrics, params and tags in one transaction."""
        self.database.write(partial(bulk.log_batch, run=run, rows=bulk.rows_of(call)))

    def metric_columns(self, run: RemoteRun) -> Iterator[MetricColumns]:
        """Yield every point of a run; the points of one metric follow each other."""
        return bulk.metric_columns(self.database, run.id)

    def set_status(self, run: str, status: str, ended_ms: int | None) -> None:
        """Set the status of a run and its end."""
        self._change(lambda store: store.update_run_info(run, RunStatus.from_string(status), ended_ms, None))

    def delete_run(self, run: str) -> None:
        """Move a run to the trash."""
        self._change(lambda store: store.delete_run(run))

    def restore_run(self, run: str) -> None:
        """Take a run out of the trash; does nothing if it is not there."""
        self._change(lambda store: store.restore_run(run))

    def delete_tag(self, run: str, key: str) -> None:
        """Delete a tag; does nothing if the run does not have it."""
        try:
            self._change(lambda store: store.delete_tag(run, key))
        except MlflowRefused as error:
            if error.code != MISSING:
                raise

    def store_artifact(self, artifact_uri: str, path: str, content: bytes) -> str:
        """Write an artifact to a folder on this machine; return "" if it is stored, otherwise the reason."""
        if not self._is_folder_here(artifact_uri):
            scheme = urlsplit(artifact_uri).scheme or "a folder"
            return f"artifacts of this database are at {scheme}, not in a folder that is certainly on this machine"
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
        if not self._is_folder_here(artifact_uri):
            return
        root = _folder(artifact_uri)
        for path in sorted((root / folder).rglob("*.jsonl")):
            yield path.relative_to(root).as_posix(), path.read_bytes()

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _is_folder_here(self, artifact_uri: str) -> bool:
        return self.database.is_local and artifact_uri.startswith(("file:", "/"))

    def _ask(self, query: Callable[[Any], T]) -> T:
        store = self.database.store()
        try:
            return query(store)
        except MlflowException as error:
            raise error_of(self.address, str(error), str(error.error_code)) from error

    def _change(self, change: Callable[[Any], T]) -> T:
        with self.database.changing():
            return self._ask(change)


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
