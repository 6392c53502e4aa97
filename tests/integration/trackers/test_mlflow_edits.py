"""Tags in MLflow that were changed, deleted and renamed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

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
    tracker = MlflowTracker(url=mlflow_server.url)
    tracker.open(Settings())
    return tracker


@pytest.fixture
def author() -> Author:
    return Author(f"edits-{uuid.uuid4().hex}")


def tagged(author: Author, **tags: str) -> Envelope:
    return author.envelope(ev.Tags(time=author.now(), tags=tags))


def deleted(author: Author, name: str, what: Any = "tag") -> Envelope:
    return author.envelope(ev.Deleted(time=author.now(), what=what, name=name))


def renamed(author: Author, old: str, new: str) -> Envelope:
    return author.envelope(ev.Renamed(time=author.now(), what="tag", old=old, new=new))


def deliver_all(tracker: MlflowTracker, envelopes: Sequence[Envelope], state: State, size: int = 1) -> State:
    for first in range(0, len(envelopes), size):
        state = tracker.deliver(envelopes[0].run_id, envelopes[first : first + size], state)
    return state


def read_tags(tracker: MlflowTracker, author: Author, state: State) -> dict[str, str]:
    return dict(tracker.read_back(author.run_id, state).tags or {})


@pytest.mark.parametrize("size", [1, 100])
def test_tags_follow_the_log(tracker: MlflowTracker, author: Author, size: int) -> None:
    envelopes = [
        author.start(), tagged(author, team="vision", old="x", stays="s", **{"gw.mine": "1"}),
        tagged(author, team="speech"), deleted(author, "old"), renamed(author, "stays", "went"),
        renamed(author, "team", "went"), deleted(author, "never there"), renamed(author, "missing", "other"),
        tagged(author, old="again"), author.finish(),
    ]  # fmt: skip

    state = deliver_all(tracker, envelopes, {}, size)

    assert read_tags(tracker, author, state) == {"team": "speech", "went": "s", "old": "again", "gw.mine": "1"}


@pytest.mark.parametrize("confirmed", range(7))
def test_edits_after_a_lost_checkpoint_have_the_same_effect(
    tracker: MlflowTracker, author: Author, confirmed: int
) -> None:
    envelopes = [
        author.start(), tagged(author, a="1", long="x" * 3_000), renamed(author, "a", "b"), tagged(author, a="2"),
        renamed(author, "long", "longer"), deleted(author, "b"), renamed(author, "a", "b"),
    ]  # fmt: skip
    before = deliver_all(tracker, envelopes[:confirmed], {}) if confirmed else {}
    deliver_all(tracker, envelopes[confirmed:], before, 100)  # its state is lost

    state = deliver_all(tracker, envelopes[confirmed:], before)

    assert read_tags(tracker, author, state) == {"b": "2", "longer": "x" * 3_000}


def moved(author: Author, tag: str) -> Envelope:
    return author.envelope(ev.Moved(time=author.now(), tag=tag))


def staged(author: Author, stage: Any) -> Envelope:
    return author.envelope(ev.LifecycleStage(time=author.now(), stage=stage))


@pytest.mark.parametrize(("confirmed", "done", "size"), [(1, 3, 100), (2, 6, 1), (4, 6, 100), (1, 7, 2)])
def test_moves_and_the_trash_after_a_lost_checkpoint_leave_one_run_in_the_right_place(
    tracker: MlflowTracker, author: Author, mlflow_server: MlflowServer, confirmed: int, done: int, size: int
) -> None:
    """What comes again may be cut otherwise: a later call has undone, by then, what the lost one did."""
    names = [f"{author.run_id} {letter}" for letter in "ab"]
    envelopes = [
        author.start(tag=names[0]), author.metrics("loss", [1.0]), moved(author, names[1]), staged(author, "deleted"),
        author.metrics("loss", [2.0], first_step=1), moved(author, names[0]),
        author.metrics("loss", [3.0], first_step=2),
    ]  # fmt: skip
    before = deliver_all(tracker, envelopes[:confirmed], {})
    deliver_all(tracker, envelopes[confirmed:done], before)  # its state is lost

    state = deliver_all(tracker, envelopes[confirmed:], before, size)

    client = MlflowClient(mlflow_server.url)
    ids = [one.experiment_id for one in client.search_experiments() if one.name in names]
    found = client.search_runs(ids, run_view_type=ViewType.ALL)
    kept = [run for run in found if run.info.run_id == state["run"] or "gw.replaced_by" not in run.data.tags]
    assert [(run.info.run_id, run.info.lifecycle_stage) for run in kept] == [(state["run"], "deleted")]
    assert client.get_experiment(kept[0].info.experiment_id).name == names[0]
    assert [one.value for one in client.get_metric_history(state["run"], "loss")] == [1.0, 2.0, 3.0]

    history = [author.start(tag=names[0]), author.metrics("loss", [1.0])]  # as of a run that was restored meanwhile
    state = deliver_all(tracker, history, tracker.start_over(author.run_id, state))
    assert client.get_run(state["run"]).info.lifecycle_stage == "active"
    assert "gw.lifecycle_stage" not in client.get_run(state["run"]).data.tags


def test_a_run_that_an_older_release_began_continues(
    tracker: MlflowTracker, author: Author, mlflow_server: MlflowServer
) -> None:
    state = dict(deliver_all(tracker, [author.start(), tagged(author, old="x", other="y")], {}, 2))
    notes = {name: value for name, value in state["notes"].items() if name != "tags"}
    older = {name: value for name, value in state.items() if name not in ("tags", "artifacts")} | {"notes": notes}

    state = dict(deliver_all(tracker, [renamed(author, "old", "new"), deleted(author, "other")], older))

    found = MlflowClient(mlflow_server.url).get_run(state["run"]).data.tags
    assert (found.get("new"), found.get("old"), found.get("other")) == ("x", None, None)
    assert tracker.read_back(author.run_id, state).tags is None


def test_the_tags_of_deleted_labels_and_artifacts_are_deleted(
    tracker: MlflowTracker, author: Author, mlflow_server: MlflowServer
) -> None:
    envelopes = [
        author.start(),
        author.envelope(ev.RunLabels(time=author.now(), labels={"one": StringValue(value="x")})),
        author.envelope(ev.Artifact(time=author.now(), name="model.pt", uri="s3://bucket/model.pt")),
        deleted(author, "one", "label"),
        deleted(author, "model.pt", "artifact"),
    ]

    state = deliver_all(tracker, envelopes, {})

    found = MlflowClient(mlflow_server.url).get_run(state["run"]).data.tags
    assert not [key for key in found if key.startswith(("gw.label.", "gw.artifact."))]


def test_series_stay_and_are_listed_as_not_editable(tracker: MlflowTracker, author: Author) -> None:
    envelopes = [author.start(), author.metrics("loss", [1.0]), deleted(author, "loss", "series")]

    state = deliver_all(tracker, envelopes, {})

    assert [point.value for point in tracker.read_back(author.run_id, state).points] == [1.0]
    assert tracker.capabilities.can_edit_tags
    assert "deletes and renames of series and parameters" in tracker.cannot_hold
