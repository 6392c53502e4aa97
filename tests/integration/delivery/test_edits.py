"""Every tracker that supports deletes and renames holds what PostgreSQL holds after them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.trackers.parquet.tracker import ParquetTracker
from consumers.trackers.tensorboard.tracker import TensorboardTracker
from consumers.trackers.testing.checks import assert_read_back, deliver
from consumers.trackers.testing.runs import RunAuthor, edited_run, points_of
from consumers.trackers.trackio.tracker import TrackioTracker
from consumers.trackers.wandb.tracker import WandbTracker
from schemas import events as ev
from schemas.facts import Facts, Point
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.client_harness import ROOT
from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.edited_runs import any_run
from tests.support.log_author import write
from tests.support.materialiser_process import materialiser, reading, until_folded
from tests.support.mlflow_service import MlflowServer
from tests.support.verify_command import verify


@pytest.mark.parametrize("kind", [WandbTracker, TensorboardTracker, ParquetTracker, TrackioTracker])
@given(data=st.data(), random=st.randoms(use_true_random=False), size=st.integers(1, 30))
@settings(max_examples=40)
def test_any_edits_in_calls_of_any_size_after_any_lost_checkpoint(
    kind: Any, data: st.DataObject, random: Random, size: int
) -> None:
    envelopes = any_run("run-1", random, size)
    kept, lost = (data.draw(st.integers(0, len(envelopes))) for _ in range(2))
    first, second, third = (data.draw(st.integers(1, size)) for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        tracker = kind(folder=folder)
        tracker.open(Settings())
        state = deliver(tracker, "run-1", envelopes[:kept], {}, size=first)
        deliver(tracker, "run-1", envelopes[kept : kept + lost], state, size=second)

        state = deliver(tracker, "run-1", envelopes[kept:], state, size=third)

        assert_read_back(tracker, "run-1", state, envelopes)
        tracker.close()


@pytest.fixture
def place(kafka: str, topic: str, database: str, tmp_path: Path, mlflow_server: MlflowServer) -> Place:
    return Place(kafka, topic, database, tmp_path, mlflow_server.url)


def defined(place: Place) -> dict[str, str]:
    """Return the variables of every tracker of the project, and of the example."""
    folders = {"boards": "tensorboard", "archive": "parquet", "late": "parquet", "local": "trackio"}
    trackers = {name: {"type": kind, "config": {"folder": str(place.folder / name)}} for name, kind in folders.items()}
    trackers["notebook"] = {"type": "sqlite", "config": {"file": str(place.folder / "runs.sqlite")}}
    written = place.folder / "trackers.yaml"
    written.write_text(json.dumps(trackers))  # JSON is YAML
    return {"GATEWAY_TRACKERS_FILE": str(written), "PYTHONPATH": os.pathsep.join([str(installed(place)), str(ROOT)])}


def installed(place: Place) -> Path:
    """Return a folder with the example plug-in as `pip install` creates it: a module, and the entry point."""
    site = place.folder / "site"
    about = site / "gateway_tracker_sqlite-1.0.dist-info"
    about.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "tracker-sqlite" / "gateway_tracker_sqlite.py", site)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gateway-tracker-sqlite\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[gateway.trackers]\nsqlite = gateway_tracker_sqlite:SqliteTracker\n")
    return site


def interleaved(runs: Sequence[Sequence[Envelope]]) -> list[Envelope]:
    """Return the envelopes of several runs, one of each in turn."""
    return [envelope for turn in zip_longest(*runs) for envelope in turn if envelope is not None]


async def test_every_tracker_holds_what_postgresql_holds_after_edits(place: Place) -> None:
    """Live with a SIGKILL, and as history; a run is deleted while points are in flight, and resumed."""
    variables, gone = defined(place), RunAuthor("gone")
    kept = [
        edited_run("edited"),
        *(any_run(f"any {seed}", Random(seed), 30, are_observed=False) for seed in range(6)),
        *(any_run(f"seen {seed}", Random(100 + seed), 30) for seed in range(4)),
    ]
    deleted = [
        *(gone.start(), gone.metrics("loss", [1.0]), gone.rename("series", "loss", "nll"), gone.delete("run")),
        *(gone.metrics("nll", [2.0]), gone.envelope(ev.RunResumed(time=gone.now(), attempt=2)), gone.finish()),
    ]
    envelopes = interleaved([*kept, deleted])
    half, live, history = len(envelopes) // 2, ("wandb", "boards", "archive", "local", "notebook"), ("late", "mlflow")
    numbers = [word for run in kept if not run[0].run_id.startswith("seen") for word in ("--run", run[0].run_id)]

    await write(place.kafka, place.topic, envelopes[:half])
    with materialiser(place.folder, place.variables()):
        with ExitStack() as stack:
            for name, running in {name: stack.enter_context(delivery(place, name, variables)) for name in live}.items():
                await until_caught_up(place, running, name)
                running.kill(signal.SIGKILL)
        await write(place.kafka, place.topic, envelopes[half:])
        await until_folded(place.database, place.topic, len(envelopes))
        with ExitStack() as stack:
            for name in (*live, *history):
                stack.enter_context(delivery(place, name, variables))
            everything = to("wandb", "boards", "archive", "local", "late")
            files = await verify(place, "--wait", "100", *everything, variables=variables)
            notebook = await verify(place, "--wait", "100", *to("notebook"), *numbers, variables=variables)
            mlflow = await verify(place, "--wait", "100", *to("mlflow"), variables=variables)
    async with reading(place.database) as store:
        found = {run[0].run_id: [point async for point in store.points(run[0].run_id)] for run in kept}
        missing = await store.run_log("gone")

    assert (files.status, files.facts["differences"]) == (0, []), files.err
    assert (notebook.status, notebook.facts["differences"]) == (0, []), notebook.err
    kinds = {one["what"] for one in mlflow.facts["differences"]}
    assert kinds <= {"points", "checksum", "params"}, "runs exist, and tags are current"
    expected = {run[0].run_id: facts_of(points_of(run)) for run in kept}
    assert {name: facts_of(points) for name, points in found.items()} == expected
    assert missing is None
    assert [str(path) for path in place.folder.rglob("*") if path.parent.name in ("gone", "run=gone")] == []


def to(*names: str) -> list[str]:
    return [word for name in names for word in ("--to", name)]


def facts_of(points: Sequence[Point]) -> Facts:
    facts = Facts()
    facts.add_run("run", points, 0)
    return facts
