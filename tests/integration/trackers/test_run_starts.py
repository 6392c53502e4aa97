"""Start, name and tag of runs that begin late, or are only resumed: every tracker shows what PostgreSQL holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from consumers.materialiser.fold.fold import fold
from consumers.materialiser.fold.state import FoldState
from consumers.store.rows import Changes
from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.parquet.tracker import ParquetTracker
from consumers.trackers.protocol import Tracker
from consumers.trackers.tensorboard.tracker import TensorboardTracker
from consumers.trackers.testing.runs import RunAuthor
from consumers.trackers.trackio import backend
from consumers.trackers.trackio.tracker import TrackioTracker
from consumers.trackers.wandb.tracker import WandbTracker
from schemas import events as ev
from schemas.facts import Point
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")  # MLflow 3.17 and SQLAlchemy 2.1
FILES: dict[str, Callable[..., Any]] = {
    "parquet": ParquetTracker, "tensorboard": TensorboardTracker, "wandb": WandbTracker, "trackio": TrackioTracker,
}  # fmt: skip
EARLY, LATE = 1_600_000_000_000_000, 1_600_000_045_000_000


def opened(author: RunAuthor, kind: type[Any], time: int, **fields: Any) -> Envelope:
    return author.envelope(kind(time=time, **fields))


def cases() -> dict[str, list[Envelope]]:
    one = RunAuthor("run")
    other = RunAuthor("run", "p2")
    return {
        "the start follows points": [one.metrics("loss", [1.0]), opened(one, ev.RunStarted, EARLY, tag="t", name="n")],
        "only resumed": [opened(one, ev.RunResumed, LATE, attempt=2, tag="t", name="n"), one.metrics("loss", [1.0])],
        "an earlier start is late": [
            opened(one, ev.RunResumed, LATE, attempt=2, tag="t"), one.metrics("loss", [1.0]),
            opened(other, ev.RunStarted, EARLY, tag="old", name="n"), other.metrics("loss", [2.0]),
        ],
        "created, then started": [
            opened(one, ev.RunCreated, EARLY, name="n"), one.tags(team="vision"),
            opened(one, ev.RunStarted, LATE, tag="t"), one.metrics("loss", [1.0]), one.finish(),
        ],
        "another tag": [
            opened(one, ev.RunStarted, EARLY, tag="a"), one.metrics("loss", [1.0]),
            opened(one, ev.RunResumed, LATE, attempt=2, tag="b"), one.metrics("loss", [2.0]),
        ],
    }  # fmt: skip


def open_tracker(name: str, folder: Path) -> Tracker:
    if name == "mlflow":
        made: Any = MlflowTracker(url=f"sqlite:///{folder}/mlflow.db")
    else:
        made = FILES[name](folder=str(folder))
    made.open(Settings())
    return made  # type: ignore[no-any-return]


def stored(envelopes: Sequence[Envelope]) -> Any:
    """Return the row of the run in PostgreSQL."""
    state, changes = FoldState(), Changes()
    for offset, envelope in enumerate(envelopes):
        fold(state, changes, envelope, 0, offset)
    return changes.runs["run"]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("name", ["mlflow", *FILES])
def test_start_name_and_tag_are_those_of_postgresql(tmp_path: Path, name: str, case: str, size: int) -> None:
    envelopes, tracker = cases()[case], open_tracker(name, tmp_path)
    state: Any = {}
    for first in range(0, len(envelopes), size):
        state = tracker.deliver("run", envelopes[first : first + size], state)
    row = stored(envelopes)

    held = tracker.read_back("run", state)
    contents = held.contents
    assert ((held.started or 0) // 1_000, contents.tag, contents.misplaced) == (row.started // 1_000, row.tag, "")
    assert contents.name == (row.name or "run")
    points = [Point(one.name, step, time // 1_000, value) for envelope in envelopes
              if isinstance(envelope.event, ev.Points) for one in envelope.event.series
              for step, time, value in zip(one.steps, one.times, one.values, strict=True)]  # fmt: skip
    assert sorted(held.points) == sorted(points)
    tracker.close()


def moving(kind: str) -> tuple[list[Envelope], list[Envelope]]:
    """Return the first events of a run, and the next ones: one of them says where the run belongs."""
    author = RunAuthor("run")
    first = [author.metrics("gone", [1.0]), author.metrics("loss", [1.0])]
    if kind == "another tag":
        first = [opened(author, ev.RunStarted, EARLY, tag="a"), *first]
        says = opened(author, ev.RunResumed, LATE, attempt=2, tag="b")
    else:
        says = opened(author, ev.RunStarted, EARLY, tag="t")
    rest = [author.metrics("loss", [2.0], [5]), says, author.params(2, lr=0.1), author.tags(team="vision")]
    return first, rest


def check_moved(tracker: Tracker, state: Any) -> None:
    held = tracker.read_back("run", state)
    assert sorted((one.series, one.step) for one in held.points if one.series == "loss") == [("loss", 0), ("loss", 5)]
    assert (held.params, held.tags, held.contents.misplaced) == ({"lr": "0.1"}, {"team": "vision"}, "")
    assert held.started == EARLY


@pytest.mark.parametrize("size", [1, 9])
@pytest.mark.parametrize("kind", ["a late start", "another tag"])
@pytest.mark.parametrize("name", ["mlflow", *FILES])
def test_a_run_that_was_moved_by_a_call_without_checkpoint_gets_everything(
    tmp_path: Path, name: str, kind: str, size: int
) -> None:
    tracker, (first, rest) = open_tracker(name, tmp_path), moving(kind)
    before = tracker.deliver("run", first, {})
    tracker.deliver("run", rest, before)  # killed before its checkpoint: it is repeated, cut differently
    state: Any = before
    for at in range(0, len(rest), size):
        state = tracker.deliver("run", rest[at : at + size], state)

    check_moved(tracker, state)
    tracker.close()


@pytest.mark.parametrize("size", [1, 9])
def test_a_run_that_is_in_two_projects_after_a_crash_gets_everything(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, (first, rest) = open_tracker("trackio", tmp_path), moving("another tag")
    before = tracker.deliver("run", first, {})
    with monkeypatch.context() as patched:
        patched.setattr(backend, "mark_moved", lambda *_: 1 / 0)  # copied, and not removed
        with pytest.raises(ZeroDivisionError):
            tracker.deliver("run", rest[:2], before)
    author = RunAuthor("run", "p2")
    rest += [author.delete("series", "gone")]  # of what the copy has
    state: Any = before
    for at in range(0, len(rest), size):
        state = tracker.deliver("run", rest[at : at + size], state)

    check_moved(tracker, state)
    assert {one.series for one in tracker.read_back("run", state).points} == {"loss"}
    tracker.close()
