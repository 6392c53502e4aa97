"""
The interface to MLflow, however it is reached: a server (rest_backend.py) or its database (database/backend.py).

Every method raises TrackerUnavailable or TrackerRefused, and no other error of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from consumers.trackers.mlflow.metrics import Metric, MetricColumns
from consumers.trackers.mlflow.requests import Call

DELETED_TAG = "gw.deleted"  # of a run that the log deleted; a run that a person put into the trash does not have it
REPLACED_TAG = "gw.replaced_by"
STAGE_TAG = "gw.lifecycle_stage"  # "deleted": the log put the run into the trash, and may restore it


class RemoteRun(NamedTuple):
    """What MLflow holds of one run, without its points."""

    id: str
    artifact_uri: str
    status: str
    started_ms: int
    ended_ms: int | None
    is_active: bool  # False: in the trash
    metric_keys: list[str]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    experiment_id: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it has neither metrics nor params."""
        return not self.metric_keys and not self.params

    @property
    def is_put_away(self) -> bool:
        """Whether it is in the trash because the log says so, until the log restores it."""
        return (
            not self.is_active and STAGE_TAG in self.tags and self.tags.keys().isdisjoint({DELETED_TAG, REPLACED_TAG})
        )


class Experiment(NamedTuple):
    """An experiment of MLflow's."""

    id: str
    name: str
    is_active: bool  # False: deleted, with all its runs


class NewRun(NamedTuple):
    """A run to create."""

    experiment_id: str
    name: str
    started_ms: int
    tags: Mapping[str, str]


class Backend(Protocol):
    """MLflow, however it is reached. `run` is always MLflow's own id of a run."""

    address: str  # without a password
    call_bytes: int  # of records, passed to the tracker in one call

    def ensure_experiment(self, name: str) -> str:
        """Return the id of an experiment; create it if it does not exist."""

    def find_experiment(self, name: str) -> Experiment | None:
        """Return the experiment with this name, also a deleted one; None if there is none."""

    def get_experiment(self, experiment: str) -> Experiment:
        """Return the experiment with this id."""

    def find_runs(self, tag: str, value: str) -> list[RemoteRun]:
        """Return the runs that have this tag, ordered by id: the active ones, and those that the log put away."""

    def create_run(self, new: NewRun) -> RemoteRun:
        """Create a run. Raises NothingDone if it was certainly not created."""

    def get_run(self, run: str) -> RemoteRun:
        """Return what MLflow holds of a run."""

    def split(self, metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Call]:
        """Yield what there is to log as calls of the size that `log_batch` accepts."""

    def log_batch(self, run: str, call: Call) -> None:
        """Log metrics, params and tags."""

    def metric_columns(self, run: RemoteRun) -> Iterator[MetricColumns]:
        """Yield every point of a run; the points of one metric follow each other."""

    def set_status(self, run: str, status: str, ended_ms: int | None) -> None:
        """Set the status of a run and its end."""

    def delete_run(self, run: str) -> None:
        """Move a run to the trash."""

    def restore_run(self, run: str) -> None:
        """Take a run out of the trash; does nothing if it is not there."""

    def delete_tag(self, run: str, key: str) -> None:
        """Delete a tag; does nothing if the run does not have it."""

    def store_artifact(self, artifact_uri: str, path: str, content: bytes) -> str:
        """Write an artifact below the artifact URI of a run; return "" if it is stored, otherwise the reason."""

    def load_artifacts(self, artifact_uri: str, folder: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of every artifact in a folder and below; nothing if there is no such folder."""

    def close(self) -> None:
        """Close connections."""


class CachedRemoteRun:
    """A run at MLflow, requested when it is first needed and once for each call of `deliver`."""

    def __init__(self, backend: Backend, run: str, *, is_new: bool) -> None:
        self.is_new = is_new  # created by this call: it has no params yet
        self._backend, self._id = backend, run
        self._run: RemoteRun | None = None

    @property
    def run(self) -> RemoteRun:
        """What MLflow holds of the run, without its points."""
        if self._run is None:
            self._run = self._backend.get_run(self._id)
        return self._run
