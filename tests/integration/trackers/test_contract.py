"""Every tracker of this project passes the contract suite."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.parquet.tracker import ParquetTracker
from consumers.trackers.protocol import Tracker
from consumers.trackers.tensorboard.tracker import TensorboardTracker
from consumers.trackers.testing.suite import TrackerContract
from consumers.trackers.trackio.tracker import TrackioTracker
from consumers.trackers.wandb.tracker import WandbTracker
from schemas.runtime.settings import Settings
from tests.support.mlflow_service import MlflowServer


def opened(tracker: Tracker) -> Tracker:
    tracker.open(Settings())
    return tracker


class TestMlflowServer(TrackerContract):
    @pytest.fixture(autouse=True)
    def server(self, mlflow_server: MlflowServer) -> None:
        self.url = mlflow_server.url

    def make_tracker(self, folder: Path) -> Tracker:
        return opened(MlflowTracker(url=self.url))

    def make_unavailable(self, folder: Path) -> Tracker:
        return opened(MlflowTracker(url="http://127.0.0.1:1"))


@pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")  # MLflow 3.17 and SQLAlchemy 2.1
class TestMlflowDatabase(TrackerContract):
    @pytest.fixture(autouse=True)
    def tables(self, mlflow_tables: Path) -> None:
        self.template = mlflow_tables

    def make_tracker(self, folder: Path) -> Tracker:
        file = folder / "mlflow.db"
        if folder.is_dir() and not file.exists():
            shutil.copy(self.template, file)
        return opened(MlflowTracker(url=f"sqlite:///{file}"))


@pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")  # MLflow 3.17 and SQLAlchemy 2.1
class TestMlflowPostgresql(TrackerContract):
    @pytest.fixture(autouse=True)
    def server(self, mlflow_postgresql: str) -> None:
        self.url = mlflow_postgresql

    def make_tracker(self, folder: Path) -> Tracker:
        return opened(MlflowTracker(url=self.url))

    def make_unavailable(self, folder: Path) -> Tracker:
        return opened(MlflowTracker(url="postgresql://somebody:secret@127.0.0.1:1/mlflow"))


class TestWandb(TrackerContract):
    def make_tracker(self, folder: Path) -> Tracker:
        return opened(WandbTracker(folder=str(folder)))


class TestParquet(TrackerContract):
    def make_tracker(self, folder: Path) -> Tracker:
        return opened(ParquetTracker(folder=str(folder)))


class TestTensorboard(TrackerContract):
    def make_tracker(self, folder: Path) -> Tracker:
        return opened(TensorboardTracker(folder=str(folder)))


class TestTrackio(TrackerContract):
    def make_tracker(self, folder: Path) -> Tracker:
        return opened(TrackioTracker(folder=str(folder)))
