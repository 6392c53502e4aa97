"""Events in MLflow's values: the same however they are cut into calls, and a state that any release can read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.trackers.mlflow.mapping_state import MAX_KEPT, MappingState, name_tags
from consumers.trackers.mlflow.metrics import Metric
from consumers.trackers.mlflow.params import ArtifactSpill, Param
from consumers.trackers.mlflow.tags import TagCollector, user_tags
from consumers.trackers.mlflow.translate import StatusChange, Translation, translate
from consumers.trackers.run_status import RunStatus
from consumers.trackers.testing.runs import RunAuthor, edge_case_run, edited_run
from schemas import events as ev
from schemas.values import StringValue
from schemas.wire import Envelope

CUTS = st.lists(st.integers(0, 1_000), max_size=6)


class Collected(NamedTuple):
    """What the calls of a run have in common with a single one."""

    metrics: list[Metric]
    params: list[Param]
    spills: list[ArtifactSpill]
    tags: dict[str, str | None]
    status: RunStatus | None
    state: dict[str, Any]


class Remote(NamedTuple):
    """What the server holds of a run."""

    params: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}


def one_call(envelopes: Sequence[Envelope], before: MappingState | None = None) -> Translation:
    return translate(envelopes, before or MappingState(), None, Remote)


def collected(envelopes: list[Envelope], cuts: list[int]) -> Collected:
    """Translate a run that is cut into calls at these positions; the state passes through JSON in between."""
    found = Collected([], [], [], {}, None, {})
    ends = sorted({0, len(envelopes), *(cut % len(envelopes) for cut in cuts)})
    for first, last in pairwise(ends):
        state = MappingState.from_json(json.loads(json.dumps(found.state)))
        new = translate(envelopes[first:last], state, found.status, Remote)
        found = Collected(
            [*found.metrics, *new.metrics], [*found.params, *new.params], [*found.spills, *new.spills],
            found.tags | new.tags, new.status, new.state.to_json(),
        )  # fmt: skip
    return found


@pytest.mark.parametrize("run", [edge_case_run, edited_run])
@settings(max_examples=20, deadline=None)
@given(cuts=CUTS)
def test_a_run_is_translated_in_the_same_way_however_it_is_cut(run: Any, cuts: list[int]) -> None:
    envelopes = run("r")

    assert repr(collected(envelopes, cuts)) == repr(collected(envelopes, []))


def test_a_state_that_an_earlier_release_stored_is_read() -> None:
    stored = {
        "names": {"key-hash": "a long name"},
        "doubles": [[["loss", 1, 1_500, 0.5], 2]],  # dropped: what MLflow merges follows from the points
        "newest": [["loss", 1, 1_500, "NaN"]],
        "largest": [["loss", 2, 1_500]],
        "infinite": {"loss": 3},
        "params": ["lr"],
        "values": ["seen_3"],
        "left_out": 4,
        "tags": {"team": "vision", "long": None},
    }

    state = MappingState.from_json(json.loads(json.dumps(stored)))

    kept = {name: value for name, value in stored.items() if name not in ("doubles", "newest", "largest")}
    assert json.loads(json.dumps(state.to_json())) == kept


def test_a_large_state_of_an_earlier_release_becomes_small() -> None:
    many = [f"p{number}" for number in range(50_000)]
    stored = {"params": many, "names": dict.fromkeys(many, "n"), "tags": dict.fromkeys(many), "newest": many}

    state = MappingState.from_json(stored)

    assert (len(state.params), len(state.names), len(state.tags)) == (MAX_KEPT, MAX_KEPT, MAX_KEPT)
    assert (state.has_all_params, state.tags_beyond) == (False, True)


def test_the_state_does_not_grow_with_the_run() -> None:
    """Each call writes it: a run of 5,000 series and as many parameters and tags has the state of one of 500."""
    author, state = RunAuthor("r"), MappingState()
    for first in range(0, 5_000, 500):
        names = [f"{number}{'x' * 300}" for number in range(first, first + 500)]
        params = dict.fromkeys(names, 0.1)
        envelopes = [author.params(1, **params), author.tags(**dict.fromkeys(names, "text")), *(
            author.metrics(name, [math.inf, 1.0]) for name in names
        )]  # fmt: skip
        new = one_call(envelopes, state)
        state = new.state

        assert {f"gw.name.{key[-32:]}": name for key, name in new.names.items()} == name_tags(new.names)
        assert set(new.names.values()) == set(names)  # the server holds them
    assert len(json.dumps(state.to_json())) < 1_000_000
    assert state.display_differences()["±Infinity, shown as ±1.797e308"] == 5_000


@pytest.mark.parametrize(("remote", "owns"), [({}, True), ({"seen_3": "b"}, False), ({"seen_3": "a"}, True)])
def test_beyond_the_parameters_that_are_kept_the_server_knows_who_owns_a_key(
    remote: dict[str, str], owns: bool
) -> None:
    author = RunAuthor("r")
    state = one_call([author.params(1, **{f"p{number}": 0.1 for number in range(MAX_KEPT)})]).state
    seen = ev.Observation(name="seen", step=3, time=author.now(), value=StringValue(value="a"))
    observed = author.envelope(ev.Values(time=author.now(), values=[seen]))

    (param,) = translate([observed], state, None, lambda: Remote(remote)).params

    assert param.owns is owns


def test_what_the_rows_do_not_show_is_in_tags_and_in_words() -> None:
    author = RunAuthor("r")

    state = one_call([author.metrics("loss", [float("inf"), 1.0])]).state

    assert state.to_tags() == {"gw.nonfinite": '{"loss":1}'}
    assert state.display_differences() == {"±Infinity, shown as ±1.797e308": 1}


def test_a_start_gives_name_and_parent_and_other_events_do_not() -> None:
    author = RunAuthor("r")
    start = author.start(name="first", parent_run_id="p")
    resumed = author.envelope(ev.RunResumed(time=author.now(), attempt=2, name="second"))

    both, none = one_call([start, resumed]), one_call([author.metrics("loss", [1.0])])

    assert (both.name, both.parent_run_id) == ("first", "p")
    assert (none.name, none.parent_run_id, none.status_change) == ("", None, None)


def test_a_status_is_in_mlflows_words_with_the_time_of_the_end() -> None:
    author = RunAuthor("r")
    started, finished = author.start(), author.finish()

    assert one_call([started]).status_change == StatusChange("RUNNING", started.event.time // 1_000)
    assert one_call([started, finished]).status_change == StatusChange("FINISHED", finished.event.time // 1_000)


def test_the_server_is_asked_only_for_the_value_of_a_renamed_tag_that_is_not_known() -> None:
    author = RunAuthor("r")
    asked: list[int] = []

    def remote() -> Remote:
        asked.append(1)
        return Remote(tags={"old": "x"})

    known = [author.tags(team="vision"), author.rename("tag", "team", "group")]
    unknown = [author.rename("tag", "old", "new")]

    first = translate(known, MappingState(), None, remote)
    assert (first.tags, asked) == ({"team": None, "group": "vision"}, [])
    assert translate(unknown, MappingState(), None, remote).tags == {"old": None, "new": "x"}


def test_a_tag_of_the_training_code_replaces_no_fact_of_the_run() -> None:
    texts = {"mlflow.runName": "other", "mlflow.note.content": "other", "mlflow.user": "ann"}
    collector = TagCollector(MappingState(), dict)
    collector.add(ev.Note(time=1, text="noted"))
    collector.add(ev.Tags(time=2, tags=texts))

    held = {key: text for key, text in collector.changes.items() if text is not None}
    assert (held["mlflow.note.content"], held["mlflow.user"], "mlflow.runName" in held) == ("noted", "ann", False)
    assert user_tags(collector.update(MappingState()), held) == texts
