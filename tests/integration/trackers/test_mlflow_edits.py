"""Tags that were changed, deleted and renamed, in MLflow."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from mlflow import MlflowClient

from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.protocol import State
from schemas import events as ev
from schemas.runtime.settings import Settings
from schemas.values import StringValue
from schemas.wire import Envelope
from tests.support.log_author import Author
from tests.support.mlflow_service import MlflowServer


@pytest.fixture
def tracker(mlflow_server: MlflowServer) -> MlflowTracker:
    made = MlflowTracker(url=mlflow_server.url)
    made.open(Settings())
    return made


@pytest.fixture
def author() -> Author:
    return Author(f"edits-{uuid.uuid4().hex}")


def tagged(author: Author, **tags: str) -> Envelope:
    return author.envelope(ev.Tags(time=author.now(), tags=tags))


def gone(author: Author, name: str, what: Any = "tag") -> Envelope:
    return author.envelope(ev.Deleted(time=author.now(), what=what, name=name))


def renamed(author: Author, old: str, new: str) -> Envelope:
    return author.envelope(ev.Renamed(time=author.now(), what="tag", old=old, new=new))


def brought(tracker: MlflowTracker, envelopes: Sequence[Envelope], state: State, size: int = 1) -> State:
    for first in range(0, len(envelopes), size):
        state = tracker.deliver(envelopes[0].run_id, envelopes[first : first + size], state)
    return state


def held(tracker: MlflowTracker, author: Author, state: State) -> dict[str, str]:
    return dict(tracker.read_back(author.run_id, state).tags or {})


@pytest.mark.parametrize("size", [1, 100])
def test_tags_are_what_the_log_made_of_them(tracker: MlflowTracker, author: Author, size: int) -> None:
    envelopes = [
        author.start(), tagged(author, team="vision", old="x", stays="s", **{"gw.mine": "1"}),
        tagged(author, team="speech"), gone(author, "old"), renamed(author, "stays", "went"),
        renamed(author, "team", "went"), gone(author, "never there"), renamed(author, "nobody", "somebody"),
        tagged(author, old="again"), author.finish(),
    ]  # fmt: skip

    state = brought(tracker, envelopes, {}, size)

    assert held(tracker, author, state) == {"team": "speech", "went": "s", "old": "again", "gw.mine": "1"}


@pytest.mark.parametrize("known", range(7))
def test_edits_whose_checkpoint_was_lost_come_to_the_same(tracker: MlflowTracker, author: Author, known: int) -> None:
    envelopes = [
        author.start(), tagged(author, a="1", long="x" * 3_000), renamed(author, "a", "b"), tagged(author, a="2"),
        renamed(author, "long", "longer"), gone(author, "b"), renamed(author, "a", "b"),
    ]  # fmt: skip
    before = brought(tracker, envelopes[:known], {}) if known else {}
    brought(tracker, envelopes[known:], before, 100)  # its state is lost

    state = brought(tracker, envelopes[known:], before)

    assert held(tracker, author, state) == {"b": "2", "longer": "x" * 3_000}


def test_a_run_that_an_older_release_began_goes_on(
    tracker: MlflowTracker, author: Author, mlflow_server: MlflowServer
) -> None:
    state = dict(brought(tracker, [author.start(), tagged(author, old="x", other="y")], {}, 2))
    notes = {name: value for name, value in state["notes"].items() if name != "tags"}
    older = {name: value for name, value in state.items() if name not in ("tags", "artifacts")} | {"notes": notes}

    state = dict(brought(tracker, [renamed(author, "old", "new"), gone(author, "other")], older))

    found = MlflowClient(mlflow_server.url).get_run(state["run"]).data.tags
    assert (found.get("new"), found.get("old"), found.get("other")) == ("x", None, None)
    assert tracker.read_back(author.run_id, state).tags is None


def test_deleted_labels_and_artifacts_take_their_tags_with_them(
    tracker: MlflowTracker, author: Author, mlflow_server: MlflowServer
) -> None:
    envelopes = [
        author.start(),
        author.envelope(ev.RunLabels(time=author.now(), labels={"one": StringValue(value="x")})),
        author.envelope(ev.Artifact(time=author.now(), name="model.pt", uri="s3://bucket/model.pt")),
        gone(author, "one", "label"),
        gone(author, "model.pt", "artifact"),
    ]

    state = brought(tracker, envelopes, {})

    found = MlflowClient(mlflow_server.url).get_run(state["run"]).data.tags
    assert not [key for key in found if key.startswith(("gw.label.", "gw.artifact."))]


def test_what_cannot_be_edited_is_said_and_stays(tracker: MlflowTracker, author: Author) -> None:
    envelopes = [author.start(), author.metrics("loss", [1.0]), gone(author, "loss", "series")]

    state = brought(tracker, envelopes, {})

    assert [point.value for point in tracker.read_back(author.run_id, state).points] == [1.0]
    assert tracker.capabilities.can_edit_tags
    assert "deletes and renames of series and parameters" in tracker.cannot_hold
