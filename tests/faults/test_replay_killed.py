"""A replay is complete although it is killed repeatedly while its services fail in every way."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.filled_log import Log, fill, fold
from benchmarks.finished_runs import Shape, records
from benchmarks.replay_kills import Kills, killed_replay
from benchmarks.replays import verify
from benchmarks.services import Server
from benchmarks.targets import empty_target


@pytest.fixture
def log(kafka: str, topic: str, database: str) -> Log:
    return Log(Server(kafka, 0), Server(database, 0), topic)


def test_a_history_has_as_many_points_as_it_says() -> None:
    shape = Shape(runs=30, series=2, points=10)

    assert sum(record.value.count(b'"steps"') > 0 for record in records(shape)) > 30 * 3
    assert [record.value for record in records(shape)] == [record.value for record in records(shape)]


@pytest.mark.parametrize("tracker", [pytest.param("mlflow", marks=pytest.mark.slow), "parquet"])
def test_nothing_is_missing_and_nothing_is_there_twice(tracker: str, log: Log, tmp_path: Path) -> None:
    prove(log, tracker, Shape(runs=30, series=3, points=8), Kills(4, 3, 0, fault_share=0.03, timeout_s=4), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("tracker", ["mlflow", "mlflow-sqlite", "mlflow-postgresql", "parquet", "tensorboard", "wandb"])
def test_killed_fifty_times_a_larger_history_is_whole(tracker: str, log: Log, tmp_path: Path) -> None:
    prove(log, tracker, Shape(runs=200, series=10, points=20), Kills(50, 11, 0, server_lives_s=(5.0, 30.0)), tmp_path)


def prove(log: Log, tracker: str, shape: Shape, kills: Kills, folder: Path) -> None:
    """Deliver a history to a tracker in spite of kills and faults, and read it back."""
    fold(log, fill(log, records(shape), print), folder / "materialiser", print)
    with empty_target(tracker, folder / tracker) as target:
        counted = killed_replay(log, target, folder / "home", kills._replace(points=shape.all_points), print)
        proved = verify(log, target, folder / "home", print)

    assert counted["kills"] >= 1  # a fast machine may be done before the next kill
    assert counted["parked"] == 0
    merged = shape.odd_runs if tracker.startswith("mlflow") else 0  # each has two equal points: one row in MLflow
    assert (proved.differences, proved.points) == ([], proved.expected - merged)
    assert proved.is_equal
