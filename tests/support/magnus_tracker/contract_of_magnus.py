"""
The contract suite for trackers of Magnus as destinations, in a process that has magnus: see test_magnus_tracker.py.

What a tracker of Magnus got is read from its file, because its interface has nothing to read with.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lines_of_magnus import file_of  # type: ignore[import-not-found]  # on the path of the test's process
from mlflow import MlflowClient

from consumers.trackers import BadSettings, Envelope, Point, ReadBack, State, TrackerRefused, TrackerUnavailable, events
from consumers.trackers.magnus.tracker import MagnusTracker
from consumers.trackers.magnus.translate import calls
from consumers.trackers.testing import RunAuthor, Settings, Tracker, TrackerContract, deliver
from schemas.examples import EVENTS
from schemas.values import StringValue
from schemas.wire import ProducerId, RunId


class Readable(MagnusTracker):
    def __init__(self, folder: Path) -> None:
        super().__init__(tracker="lines", config={"folder": str(folder)})
        self._folder = folder

    def lines(self, run_id: str) -> list[list[Any]]:
        file = file_of(str(self._folder), run_id)
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def read_back(self, run_id: str, state: State) -> ReadBack:
        lines = self.lines(run_id)
        is_number = [line[0] == "metric" and type(line[2]) in (int, float) for line in lines]
        points = [Point(line[1], line[3], 0, line[2]) for line, is_one in zip(lines, is_number, strict=True) if is_one]
        return ReadBack(iter(points), {line[1]: line[2] for line in lines if line[3] is None}, "running", None, None)


class TestMagnusTracker(TrackerContract):
    # Not of this tracker: after a lost checkpoint calls are made again, the first value of a parameter counts, and a
    # start makes no call that could fail. A value of another type may be a number, which `read_back` takes for a point.
    for name in (
        "test_a_deleted_run_stays_deleted",
        "test_a_lost_checkpoint_changes_nothing",
        "test_an_unreachable_storage_is_an_outage",
        "test_every_kind_of_event_is_accepted",
        "test_a_run_in_the_trash_loses_nothing",
        "test_deletes_and_renames_after_a_lost_checkpoint",
        "test_the_last_value_of_a_parameter_is_read_back",
    ):
        locals()[name] = None

    def make_tracker(self, folder: Path) -> Tracker:
        tracker = Readable(folder)
        tracker.open(Settings())
        return tracker


@pytest.fixture
def tracker(tmp_path: Path) -> Readable:
    one = Readable(tmp_path)
    one.open(Settings())
    return one


def text(author: RunAuthor, step_name: str, *texts: str) -> Envelope:
    seen = [events.Observation(name="spam", time=1, value=StringValue(value=one)) for one in texts]
    return author.envelope(events.Values(time=author.now(), step_name=step_name, values=seen))


def test_every_kind_of_event_is_accepted(tracker: Readable) -> None:
    sent = [Envelope(RunId("r1"), ProducerId("p1"), seq, event.time, event) for seq, event in enumerate(EVENTS)]
    deliver(tracker, "r1", sent, {}, size=3)

    assert len(tracker.lines("r1")) == sum(len(list(calls(one))) for one in sent)


def test_run_tag_and_step_are_in_the_context_of_magnus(tracker: Readable) -> None:
    author = RunAuthor("r1")
    envelopes = [author.start(tag="exp-a"), text(author, "mapper.1.one", "hey"), author.metrics("loss", [math.inf])]
    deliver(tracker, "r1", envelopes, {}, size=1)

    assert tracker.lines("r1") == [
        ["metric", "mapper.1.one/spam", "hey", 0, "exp-a", "mapper.1.one"],
        ["metric", "loss", math.inf, 0, "exp-a", "main"],
    ]


def test_what_is_refused_is_counted_and_a_number_that_is_refused_parks_the_run(tracker: Readable) -> None:
    author = RunAuthor("r1")
    state = deliver(tracker, "r1", [text(author, "main", "one", "refuse me", "two")], {})

    assert ([line[2] for line in tracker.lines("r1")], state["refused"]) == (["one", "two"], 1)
    tracker._instances["r1"].__dict__["folder"] = None
    with pytest.raises(TrackerRefused, match="lines refuses 'loss': TypeError"):
        tracker.deliver("r1", [author.metrics("loss", [1.0])], state)


def test_a_call_that_failed_continues_where_it_failed(tracker: Readable, tmp_path: Path) -> None:
    author = RunAuthor("r1")
    envelopes = [author.metrics("loss", [1.0, 2.0]), author.params(lr=0.1), author.metrics("loss", [3.0], [2])]
    deliver(tracker, "r1", envelopes[:1], {})
    away = tmp_path / "away"
    file_of(str(tmp_path), "r1").rename(away)
    file_of(str(tmp_path), "r1").mkdir()
    with pytest.raises(TrackerUnavailable, match="IsADirectoryError"):
        tracker.deliver("r1", envelopes[1:], {"tag": "", "parameters": {}, "refused": 0})
    file_of(str(tmp_path), "r1").rmdir()
    away.rename(file_of(str(tmp_path), "r1"))
    deliver(tracker, "r1", envelopes[1:], {"tag": "", "parameters": {}, "refused": 0}, size=1)

    assert [line[2] for line in tracker.lines("r1")] == [1.0, 2.0, "0.1", 3.0]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "with a tracker of Magnus instead of ''.*lines, mlflow"),
        ({"tracker": "nothing here"}, "instead of 'nothing here'"),
        ({"tracker": "lines"}, "'lines' cannot be made .ValidationError.: correct its config"),
        ({"tracker": "lines", "config": {"folder": "x", "token": "hunter2"}}, "^(?!.*hunter2).*correct its config"),
    ],
)
def test_a_configuration_that_does_not_fit_is_one_clear_error(config: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        MagnusTracker(**config).open(Settings())


def test_the_import_of_magnus_leaves_the_logging_of_the_process() -> None:
    program = """
import logging
from consumers.trackers.magnus.tracker import MagnusTracker
from schemas.runtime.settings import Settings
logging.basicConfig(level="INFO", format="own: %(message)s")
logging.getLogger("consumers.delivery").info("before")
MagnusTracker(tracker="lines", config={"folder": "."}).open(Settings())
logging.getLogger("consumers.delivery").info("after")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr.splitlines() == ["own: before", "own: after"]


def test_the_mlflow_tracker_of_magnus_gets_both_values_of_one_text() -> None:
    author = RunAuthor(run_id := f"magnus-{os.getpid()}")
    tracker = MagnusTracker(tracker="mlflow", config={"server_url": os.environ["MLFLOW_OF_TEST"]})
    tracker.open(Settings())
    start, end = author.start(tag=run_id), text(author, "first", "another")
    both = [text(author, "first", "hello"), text(author, "second", "hey"), author.metrics("loss", [1.0, 0.5])]
    state = tracker.deliver(run_id, [start, *both, author.params(lr=0.5), end], {})
    client = MlflowClient(os.environ["MLFLOW_OF_TEST"])
    (run,) = client.search_runs([client.get_experiment_by_name(run_id).experiment_id])

    assert run.data.params == {"first/spam_0": "hello", "second/spam_0": "hey", "lr_0": "0.5"}
    assert (run.info.run_name, run.data.metrics, state["refused"]) == (run_id, {"loss": 0.5}, 1)
