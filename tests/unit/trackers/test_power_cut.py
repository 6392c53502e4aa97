"""A power cut after any call: a tracker still has what its checkpoint says that it has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.trackers.parquet.tracker import ParquetTracker
from consumers.trackers.protocol import State, Tracker
from consumers.trackers.tensorboard.tracker import TensorboardTracker
from consumers.trackers.testing.runs import RunAuthor, edge_case_run, edited_run
from consumers.trackers.trackio.backend import Projects
from consumers.trackers.wandb.tracker import WandbTracker
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.synced_disk import SyncedDisk

RUN = "run-1"
TRACKERS: dict[str, Callable[[str], Tracker]] = {
    "parquet": lambda folder: ParquetTracker(folder=folder),
    "tensorboard": lambda folder: TensorboardTracker(folder=folder),
    "wandb": lambda folder: WandbTracker(folder=folder),
}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncedDisk]:
    disk = SyncedDisk(monkeypatch)
    yield disk
    disk.close()


def opened(name: str, folder: Path) -> Tracker:
    tracker = TRACKERS[name](str(folder))
    tracker.open(Settings())
    return tracker


def content(tracker: Tracker, state: State) -> Any:
    read = tracker.read_back(RUN, state)
    return sorted(map(repr, read.points)), dict(read.params), read.status, read.started, read.ended, read.tags


def calls_of(envelopes: list[Envelope]) -> list[list[Envelope]]:
    return [envelopes[:3], envelopes[3:8], *([one] for one in envelopes[8:])]


@pytest.mark.parametrize("make_run", [edge_case_run, edited_run])
@pytest.mark.parametrize("name", TRACKERS)
def test_a_call_that_returned_survives_a_power_cut(
    tmp_path: Path, disk: SyncedDisk, name: str, make_run: Callable[[str], list[Envelope]]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    tracker = opened(name, folder)
    state: State = {}
    for number, call in enumerate(calls_of(make_run(RUN))):
        state = json.loads(json.dumps(tracker.deliver(RUN, call, state)))
        rest = opened(name, disk.after_power_cut(folder, tmp_path / f"after-{number}"))

        assert content(rest, state) == content(tracker, state)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_run_that_was_deleted_does_not_come_back(tmp_path: Path, disk: SyncedDisk, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    tracker, author = opened(name, folder), RunAuthor(RUN)
    state = tracker.deliver(RUN, [author.start(), author.metrics("loss", [1.0])], {})
    tracker.deliver(RUN, [author.delete("run")], state)

    left = disk.after_power_cut(folder, tmp_path / "after")

    assert not [path for path in left.rglob("*") if path.is_file() and "run-1" in str(path.relative_to(left).parent)]


def test_trackio_waits_for_the_disk_with_each_transaction(tmp_path: Path) -> None:
    """SQLite syncs by itself, beyond what this process can watch: its setting has to say so."""
    projects = Projects(tmp_path)
    try:
        with projects.transaction("project", create=True) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    finally:
        projects.close()
