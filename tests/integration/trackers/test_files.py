"""Event files and Parquet files, read by TensorBoard itself and by pandas."""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from consumers.trackers.parquet import tracker as parquet_tracker
from consumers.trackers.parquet import writer as parquet_writer
from consumers.trackers.parquet.tracker import ParquetTracker
from consumers.trackers.protocol import Tracker
from consumers.trackers.tensorboard.summaries import to_float32
from consumers.trackers.tensorboard.tracker import TensorboardTracker
from consumers.trackers.testing.checks import deliver
from consumers.trackers.testing.runs import RunAuthor, edge_case_run, points_of
from consumers.trackers.wandb.tracker import WandbTracker
from schemas import events as ev
from schemas.errors import TrackerRefused
from schemas.mapping.names import tensorboard_name
from schemas.runtime.settings import Settings
from schemas.values import StringValue
from schemas.wire import Envelope

EVERYTHING = {"tensors": 0}


def opened(tracker: Tracker) -> Tracker:
    tracker.open(Settings())
    return tracker


def as_float32(value: float) -> float:
    """Return the value that a chart shows: a 32-bit float."""
    return array("f", [to_float32(value)])[0]


def tensorboard(folder: Path) -> Any:
    accumulator = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    accumulator.Reload()
    return accumulator


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tensorboard_reads_every_point_at_its_own_step_and_time(tmp_path: Path) -> None:
    envelopes = edge_case_run("run-1")
    deliver(opened(TensorboardTracker(folder=str(tmp_path))), "run-1", envelopes, {}, size=5)

    read = tensorboard(tmp_path / "run-1")
    scalars = read.SummaryMetadata
    found = sorted(
        (
            tensorboard_name(tag),
            one.step,
            round(one.wall_time * 1e6) // 1_000,
            repr(make_ndarray(one.tensor_proto).item()),
        )
        for tag in read.Tags()["tensors"]
        if scalars(tag).plugin_data.plugin_name == "scalars"
        for one in read.Tensors(tag)
    )

    assert found == sorted((*point[:3], repr(as_float32(point.value))) for point in points_of(envelopes))


def test_tensorboard_shows_parameters_and_the_status(tmp_path: Path) -> None:
    author = RunAuthor("run-1")
    envelopes = [
        author.start(),
        author.params(lr=0.1, optimizer="adam"),
        author.metrics("loss", [1.0]),
        author.finish(),
    ]
    deliver(opened(TensorboardTracker(folder=str(tmp_path))), "run-1", envelopes, {})

    read = tensorboard(tmp_path / "run-1")
    text = make_ndarray(read.Tensors("gw/params")[0].tensor_proto).item()
    hyper = {"_hparams_/session_start_info", "_hparams_/session_end_info"}

    assert json.loads(text) == {"lr": "0.1", "optimizer": "adam"}
    assert hyper <= {value.tag for event in _raw(tmp_path / "run-1") for value in event.summary.value}


@pytest.mark.parametrize("kind", [TensorboardTracker, ParquetTracker])
def test_the_same_events_give_the_same_files_however_often_they_are_delivered(tmp_path: Path, kind: Any) -> None:
    envelopes = edge_case_run("run-1")
    deliver(opened(kind(folder=str(tmp_path / "once"))), "run-1", envelopes, {})

    again = opened(kind(folder=str(tmp_path / "again")))
    deliver(again, "run-1", envelopes[:20], {})
    deliver(again, "run-1", envelopes, {})

    assert files(tmp_path / "once") == files(tmp_path / "again")


def test_pandas_reads_all_runs_in_one_line(tmp_path: Path) -> None:
    tracker = opened(ParquetTracker(folder=str(tmp_path)))
    runs = {run_id: edge_case_run(run_id) for run_id in ("run-1", "Run 2/é")}
    for run_id, envelopes in runs.items():
        deliver(tracker, run_id, envelopes, {}, size=5)

    points = pd.read_parquet(tmp_path / "points")

    assert set(points.run_id) == set(runs)
    one = points[(points.run_id == "run-1") & (points.series == "loss")]
    assert [math.isnan(value) for value in one.value][:3] == [False, True, False]
    assert str(one.time.iloc[0]).startswith("2017-07-14 02:40:00")
    assert len(points) == sum(len(points_of(envelopes)) for envelopes in runs.values())
    assert pd.read_parquet(tmp_path / "runs").set_index("run_id").status.to_dict() == dict.fromkeys(runs, "finished")
    assert json.loads((tmp_path / "manifest.json").read_text())["tables"]["params"]["files"] == "params/*/*.parquet"


def test_parts_are_filled_before_another_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_writer, "PART_ROWS", 100)
    tracker, author = opened(ParquetTracker(folder=str(tmp_path))), RunAuthor("run-1")
    envelopes = [author.start(), *(author.metrics("loss", [float(i)] * 30) for i in range(10))]

    state = deliver(tracker, "run-1", envelopes, {}, size=1)

    parts = sorted((tmp_path / "points" / "run=run-1").iterdir())
    assert [pq.ParquetFile(part).metadata.num_rows for part in parts] == [120, 120, 60]
    assert sum(1 for _ in tracker.read_back("run-1", state).points) == 300


@pytest.mark.parametrize("kind", [TensorboardTracker, ParquetTracker])
def test_a_damaged_file_is_named(tmp_path: Path, kind: Any) -> None:
    tracker, author = opened(kind(folder=str(tmp_path))), RunAuthor("run-1")
    state = deliver(tracker, "run-1", [author.start(), author.metrics("loss", [1.0] * 50)], {})
    for path in tmp_path.rglob("*"):
        if path.suffix in (".parquet", ".gateway"):
            path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(TrackerRefused, match=r"run-1.*deliver the run again from the start"):
        list(tracker.read_back("run-1", state).points)


@pytest.mark.parametrize("kind", [TensorboardTracker, ParquetTracker])
def test_nothing_of_a_deleted_run_is_left_or_returns(tmp_path: Path, kind: Any) -> None:
    tracker, author = opened(kind(folder=str(tmp_path))), RunAuthor("run-1")
    state = deliver(tracker, "run-1", [author.start(), author.metrics("loss", [1.0])], {})

    state = deliver(tracker, "run-1", [author.envelope(ev.Deleted(time=author.now(), what="run"))], state)
    deliver(tracker, "run-1", _late(author), state)

    left = [path for path in files(tmp_path) if "run-1" in path]
    assert left == ["_edits/run-1.json"]  # records that it was deleted


def _late(author: RunAuthor) -> list[Envelope]:
    return [author.metrics("loss", [2.0])]


def _raw(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    (file,) = folder.iterdir()
    return list(EventFileLoader(str(file)).Load())


@pytest.mark.parametrize("kind", [TensorboardTracker, ParquetTracker, WandbTracker])
@pytest.mark.parametrize("size", [1, 10])
def test_the_gravest_end_of_the_last_attempt_counts(tmp_path: Path, kind: Any, size: int) -> None:
    """As in PostgreSQL: one rank failed, another one finished, one started late; an old attempt ends last."""
    author, statuses = RunAuthor("run-1"), []
    tracker = opened(kind(folder=str(tmp_path)))
    first = [
        author.start(),
        author.envelope(ev.RunFailed(time=author.now(), message="odd")),
        author.finish(),
        author.start(),
    ]
    second = [
        author.envelope(ev.RunResumed(time=author.now(), attempt=2)),
        author.envelope(ev.RunFinished(time=author.now(), attempt=2)),
        author.envelope(ev.RunKilled(time=author.now())),
    ]

    state = deliver(tracker, "run-1", first, {}, size=size)
    statuses.append(tracker.read_back("run-1", state)[2:5:2])
    state = deliver(tracker, "run-1", second, state, size=size)
    statuses.append(tracker.read_back("run-1", state)[2:5:2])

    assert statuses == [("failed", first[1].event.time), ("finished", second[1].event.time)]


@pytest.mark.parametrize("kind", [TensorboardTracker, ParquetTracker, WandbTracker])
def test_deleted_data_is_in_no_file(tmp_path: Path, kind: Any) -> None:
    """Neither a parameter, which may be a password, nor a tag, a label, an artifact or an observation."""
    author, secret = RunAuthor("run-1"), "s3cr3t"
    text = StringValue(value=secret)
    envelopes = [
        author.start(),
        author.params(password=secret, lr=0.1),
        author.tags(secret_tag=secret, team="vision"),
        author.envelope(ev.RunLabels(time=author.now(), labels={"label": text})),
        author.envelope(ev.Artifact(time=author.now(), name="file", uri=f"s3://{secret}")),
        author.envelope(
            ev.Values(time=author.now(), values=[ev.Observation(name="seen", time=author.now(), value=text)])
        ),
        author.metrics("loss", [1.0]),
    ]
    names = {"param": "password", "tag": "secret_tag", "label": "label", "artifact": "file", "series": "seen"}
    tracker = opened(kind(folder=str(tmp_path)))
    state = deliver(tracker, "run-1", envelopes, {}, size=2)

    state = deliver(tracker, "run-1", [author.delete(what, name) for what, name in names.items()], state)

    shown = [str(pq.ParquetFile(path).read().to_pylist()) for path in tmp_path.rglob("*.parquet")]
    shown += [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert [one for one in shown if secret in one] == []
    run = tracker.read_back("run-1", state)
    assert (set(run.params), run.tags, len(list(run.points))) == ({"lr"}, {"team": "vision"}, 1)


def test_parts_of_the_first_format_are_read_grown_and_edited(tmp_path: Path) -> None:
    author, tracker = RunAuthor("run-1"), opened(ParquetTracker(folder=str(tmp_path)))
    state = deliver(tracker, "run-1", [author.start(), author.metrics("loss", [1.0]), author.metrics("acc", [2.0])], {})
    (part,) = (tmp_path / "points" / "run=run-1").glob("*.parquet")
    pq.write_table(pq.ParquetFile(part).read().drop_columns(["step_name", "name"]), part)
    (tmp_path / "manifest.json").write_text('{"format": 1}')

    more = [author.metrics("loss", [3.0], [1]), author.rename("series", "loss", "nll"), author.delete("series", "acc")]
    state = deliver(tracker, "run-1", more, state, size=2)

    assert [(one.series, one.value) for one in tracker.read_back("run-1", state).points] == [("nll", 1.0), ("nll", 3.0)]
    assert json.loads((tmp_path / "manifest.json").read_text())["format"] == parquet_tracker.FORMAT
