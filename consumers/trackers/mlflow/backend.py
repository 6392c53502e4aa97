"""
Where runs are kept in MLflow's terms: what the tracker asks of a server (rest.py) or of a database here (database.py).

Every method raises TrackerUnavailable or TrackerRefused and nothing else of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from consumers.trackers.mlflow.metrics import Metric
from consumers.trackers.mlflow.requests import Call


class Held(NamedTuple):
    """What MLflow tells of one run, without its points."""

    run: str
    artifacts: str  # address of its artifacts
    status: str
    started_ms: int
    ended_ms: int | None
    is_active: bool  # False: in the trash
    keys: list[str]  # of its metrics
    params: Mapping[str, str]
    tags: Mapping[str, str]


class New(NamedTuple):
    """A run to be made."""

    experiment: str  # id
    name: str
    started_ms: int
    tags: Mapping[str, str]


class Place(Protocol):
    """MLflow, however it is reached."""

    where: str  # its address, without a password

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made when it is not there."""

    def find(self, tag: str, value: str) -> list[Held]:
        """Return the active runs that have this tag, the one to be kept first."""

    def create(self, new: New) -> Held:
        """Make a run. Raises NothingDone when it was certainly not made."""

    def held(self, run: str) -> Held:
        """Return what is known of a run."""

    def log(self, run: str, call: Call) -> None:
        """Log metrics, params and tags."""

    def history(self, run: str, key: str) -> Iterator[Metric]:
        """Yield every point of one metric."""

    def set_status(self, run: str, status: str, ended_ms: int | None) -> None:
        """Set a run's status, and its end."""

    def delete(self, run: str) -> None:
        """Move a run to the trash."""

    def delete_tag(self, run: str, key: str) -> None:
        """Delete a tag; one that is not there is no error."""

    def keep(self, artifacts: str, path: str, content: bytes) -> str:
        """Write an artifact of the run whose artifacts are there; return why not, or nothing when it is kept."""

    def close(self) -> None:
        """Let go of connections."""
