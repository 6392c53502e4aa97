"""Differences and losses: what a tracker holds of a run, compared with what PostgreSQL holds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.verify.compare import compare, findings
from consumers.delivery.verify.facts import RunFacts, pool_points
from consumers.delivery.verify.findings import Difference, Loss
from consumers.delivery.verify.read_back import read_tracker
from consumers.store.delivery.checkpoints import Checkpoint
from consumers.store.read.contents import StoredEdit
from consumers.trackers.fidelity import expected_points, keeps_all_points
from consumers.trackers.protocol import Capabilities, NothingTracker, ReadBack, State
from schemas.errors import TrackerRefused
from schemas.facts import Point, SeriesColumns, SeriesFacts, count_points
from schemas.values import FloatValue, StringValue, to_text

POINTS = st.lists(
    st.builds(Point, st.sampled_from(["a", "b"]), st.integers(0, 3), st.integers(0, 3), st.floats(width=16)), max_size=9
)

EDITS = Capabilities(can_edit_series=True, can_edit_params=True, can_edit_tags=True)
ODD = [
    Point("loss", 0, 1, 0.1), Point("loss", 1, 2, math.nan), Point("loss", 2, 3, math.inf), Point("loss", 2, 3, 0.3),
    Point("loss", 2, 3, 0.3), Point("loss", 1, 4, 1 / 3), Point("loss", 5, 5, 1e300), Point("acc", 1, 1, 1.0),
]  # fmt: skip
LESS = [
    EDITS._replace(keeps_times=False),
    EDITS._replace(keeps_non_finite=False),
    EDITS._replace(keeps_float64=False),
    EDITS._replace(keeps_equal_points=False),
    EDITS._replace(needs_step_order=True),
    EDITS._replace(keeps_times=False, keeps_equal_points=False, keeps_float64=False),
]


def held(points: list[Point], *, status: str = "finished", params: frozenset[str] = frozenset({"lr"})) -> RunFacts:
    facts = RunFacts("run-1", status, dict.fromkeys(params, "0.1"))
    facts.add_points(points)
    return facts


@given(POINTS, st.randoms())
def test_the_order_of_points_makes_no_difference(points: list[Point], random: object) -> None:
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' Random

    assert list(compare("mlflow", held(points), held(shuffled))) == []


@given(POINTS.filter(len), st.data())
def test_a_lost_doubled_or_changed_point_is_found(points: list[Point], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(points) - 1))
    point = points[at]
    other = point._replace(value=1.5 if math.isnan(point.value) else math.nan)
    wrong = data.draw(st.sampled_from([[], [point, point], [other]]))

    (difference,) = compare("mlflow", held(points), held([*points[:at], *wrong, *points[at + 1 :]]))

    assert (difference.run_id, difference.name) == ("run-1", point.series)


def test_a_missing_parameter_is_named() -> None:
    (difference,) = compare("wandb", held([]), held([], params=frozenset()))

    assert str(difference) == "wandb, run run-1: params 0, and 1 in PostgreSQL ('lr' is missing)"


def test_another_status_is_a_difference_but_lost_counts_as_running() -> None:
    assert list(compare("mlflow", held([], status="lost"), held([], status="running"))) == []
    assert [d.what for d in compare("mlflow", held([], status="failed"), held([], status="running"))] == ["status"]


def test_a_run_that_is_missing_counts_nothing_and_has_the_reason() -> None:
    absent = RunFacts("run-1", missing="MLflow refuses it")

    (difference,) = compare("mlflow", held([Point("a", 0, 0, 1.0)]), absent)

    assert absent.total().to_json() == {"runs": 0, "points": 0, "params": 0, "checksum": "0" * 32}
    assert "MLflow refuses it" in str(difference)


def test_another_start_or_end_is_a_difference_to_the_millisecond() -> None:
    expected, found = held([]), held([])
    expected.started, expected.ended = 1_000_400, 5_000_000
    found.started, found.ended = 1_000_000, 6_000_000

    (difference,) = compare("mlflow", expected, found)

    assert (difference.what, difference.expected, difference.found) == ("ended", 5_000_000, 6_000_000)


def test_a_place_that_lost_start_or_end_differs_and_one_that_shows_its_own_where_none_was_reported_does_not() -> None:
    expected, own = held([]), held([])
    own.started = 5
    assert list(compare("trackio", expected, own)) == []

    expected.started, expected.ended = 1_000_000, 2_000_000

    assert [(one.what, one.found) for one in compare("trackio", expected, held([]))] == [
        ("started", None), ("ended", None),
    ]  # fmt: skip


@given(POINTS.filter(len))
def test_points_that_retention_dropped_are_compared_by_number_only(points: list[Point]) -> None:
    counted = RunFacts("run-1", "finished", {"lr": "0.1"}, counts_only=True)
    for point in points:
        counted.series.setdefault(point.series, SeriesFacts()).points += 1

    assert list(compare("mlflow", counted, held(points))) == []
    (difference,) = compare("mlflow", counted, held(points[1:]))
    assert (difference.what, difference.name) == ("points", points[0].series)


def run(series: dict[str, list[float]] | None = None, **facts: Any) -> RunFacts:
    """Return a run with these values at steps 0, 1, ... of each series."""
    held = RunFacts("run-1", "finished", {"lr": FloatValue(value=0.1)}, tags={"team": "vision"})
    for name, values in (series or {}).items():
        held.add_points(Point(name, step, 1_000, value) for step, value in enumerate(values))
    for name, value in facts.items():
        setattr(held, name, value)
    return held


def compared(expected: RunFacts, found: RunFacts, can: Capabilities = EDITS) -> tuple[list[Difference], list[Loss]]:
    """Return differences and losses; the points are ODD where a tracker with these capabilities does not keep all."""
    found.params = {name: value if isinstance(value, str) else to_text(value) for name, value in found.params.items()}
    kept: dict[str, SeriesFacts] | None = None
    if not keeps_all_points(can):
        kept = {}
        count_points(kept, expected_points(ODD, can))
    both = list(findings("there", expected, found, can, kept))
    return [one for one in both if isinstance(one, Difference)], [one for one in both if isinstance(one, Loss)]


@pytest.mark.parametrize("can", [EDITS, *LESS])
@pytest.mark.parametrize("lost", range(len(ODD)))
def test_declared_capabilities_hide_no_lost_point(can: Capabilities, lost: int) -> None:
    expected, found, incomplete = run(), run(), run()
    expected.add_points(ODD)
    held = list(expected_points(ODD, can))
    found.add_points(held)
    incomplete.add_points(held[: lost % len(held)] + held[lost % len(held) + 1 :])

    assert compared(expected, found, can)[0] == []
    (difference,) = compared(expected, incomplete, can)[0]
    assert (difference.what, difference.name) == ("points", held[lost % len(held)].series)


@pytest.mark.parametrize("can", LESS)
def test_what_a_tracker_cannot_hold_is_listed_by_series(can: Capabilities) -> None:
    expected, found = run(), run()
    expected.add_points(ODD)
    found.add_points(expected_points(ODD, can))

    differences, losses = compared(expected, found, can)

    assert differences == []
    assert {loss.what for loss in losses} == {"points"}
    assert "loss" in {loss.name for loss in losses}


def test_first_and_last_point_are_named_where_they_differ() -> None:
    (difference,), _ = compared(run({"loss": [1.0, 2.0, 3.0]}), run({"loss": [1.0, 2.0]}))

    assert (difference.expected, difference.found) == (3, 2)
    assert difference.reason == "its last is step 1 at 1000 ms, not step 2 at 1000 ms"


def test_another_value_of_a_parameter_or_a_tag_is_a_difference_and_another_notation_is_none() -> None:
    expected = run()

    assert compared(expected, run(params={"lr": "1e-1"})) == ([], [])
    (wrong,), _ = compared(expected, run(params={"lr": "0.2"}))
    assert str(wrong) == "there, run run-1: params 1, and 1 in PostgreSQL ('lr' is '0.2', not '0.1')"
    (tag,), _ = compared(expected, run(tags={"team": "visions"}))
    assert (tag.what, tag.reason) == ("tags", "'team' is 'visions', not 'vision'")


def test_tags_that_are_not_returned_are_a_loss_and_no_difference() -> None:
    differences, (loss,) = compared(run(), run(tags=None))

    assert differences == []
    assert (loss.what, loss.amount) == ("tags", 1)
    assert [one.what for one in compared(run(), run(tags={}))[0]] == ["tags"]


def test_a_cut_parameter_is_a_loss_only_at_the_documented_length() -> None:
    expected, can = run(params={"text": StringValue(value="x" * 50)}), EDITS._replace(cut_params=(40,))

    differences, (loss,) = compared(expected, run(params={"text": "x" * 40}), can)

    assert (differences, loss.name, loss.reason) == ([], "text", "cut at 40 characters")
    assert compared(expected, run(params={"text": "x" * 39}), can)[0] != []
    assert compared(expected, run(params={"text": "x" * 40}), EDITS)[0] != []


EDITED = (StoredEdit("series", "gone", ""), StoredEdit("param", "lr", ""), StoredEdit("tag", "team", ""))


def test_what_a_tracker_still_shows_is_excused_only_by_an_edit_that_the_log_has() -> None:
    found = run({"loss": [1.0], "gone": [2.0, 3.0]})
    pool_points(found.pool, [Point("gone", 0, 1_000, 2.0), Point("gone", 1, 1_000, 3.0)])
    expected = run({"loss": [1.0]}, params={}, tags={}, edits=EDITED)
    cannot = Capabilities()

    differences, losses = compared(expected, found, cannot)

    assert differences == []
    assert {(one.what, one.name, one.amount) for one in losses} == {
        ("series", "gone", 2), ("params", "lr", 1), ("tags", "team", 1),
    }  # fmt: skip
    assert {one.what for one in compared(expected, found, EDITS)[0]} == {"params", "tags", "points"}
    expected.edits = ()  # PostgreSQL lacks them, and the log does not delete them
    assert {one.what for one in compared(expected, found, cannot)[0]} == {"params", "tags", "points"}


AFTER_EDITS = {
    "deleted": ([("a", "")], {}, {"a": [1.0, 2.0]}),
    "deleted, then the same name": ([("a", "")], {"a": [3.0]}, {"a": [1.0, 2.0, 3.0]}),
    "deleted, then the same points": ([("a", "")], {"a": [1.0]}, {"a": [1.0, 1.0]}),
    "renamed": ([("a", "b")], {"b": [1.0, 2.0]}, {"a": [1.0, 2.0]}),
    "renamed, then the new name": ([("a", "b")], {"b": [1.0, 3.0]}, {"a": [1.0], "b": [3.0]}),
    "renamed, then the old name": ([("a", "b")], {"b": [1.0], "a": [3.0]}, {"a": [1.0, 3.0]}),
    "labels and steps follow": ([("a", "b")], {"t/b{x=1}": [1.0]}, {"t/a{x=1}": [1.0]}),
}


@pytest.mark.parametrize("case", AFTER_EDITS)
def test_points_of_edited_series_are_compared_whatever_their_names(case: str) -> None:
    edits, stored, shown = AFTER_EDITS[case]
    expected, found = pooled(stored, edits), pooled(shown, edits)

    assert compared(expected, found, Capabilities())[0] == []
    for name, values in stored.items():  # each point that PostgreSQL has must be there
        changed = [values[0] + 7.0, *values[1:]]
        assert compared(pooled({**stored, name: changed}, edits), found, Capabilities())[0] != []
    if all(new for _, new in edits):  # and after a rename, no others
        assert compared(expected, pooled({**shown, "a": [*shown.get("a", []), 9.0]}, edits), Capabilities())[0] != []


def pooled(series: dict[str, list[float]], edits: Sequence[tuple[str, str]]) -> RunFacts:
    """Return a run with these values, all at one step, and its edits; points of edited series are pooled."""
    held = run(edits=[StoredEdit("series", *edit) for edit in edits])
    points = [Point(name, 0, 1_000, value) for name, values in series.items() for value in values]
    held.add_points(points)
    pool_points(held.pool, points)
    return held


def test_a_renamed_parameter_is_listed_where_the_tracker_shows_the_old_name() -> None:
    renamed = [StoredEdit("param", "y", "z")]
    two, three = FloatValue(value=2), FloatValue(value=3)

    differences, losses = compared(run(params={"z": two}, edits=renamed), run(params={"y": "2.0"}), Capabilities())

    assert differences == []
    assert [(one.name, one.reason) for one in losses] == [
        ("y", "deleted or renamed since, and still shown"), ("z", "renamed since, and still shown as 'y'"),
    ]  # fmt: skip
    again = run(params={"z": two, "y": three}, edits=renamed)
    assert compared(again, run(params={"y": "3.0"}), Capabilities())[0] == []
    assert compared(run(params={"z": two}), run(params={"y": "2.0"}), Capabilities())[0] != []


def test_what_else_a_run_holds_is_compared_or_listed() -> None:
    expected = run(name="one", tag="t", note="n", labels={"kind": "x"}, artifacts={"model": [REFERENCE]})
    expected.add_observation("seen", 1, 5, "text")
    expected.add_line("stdout", 5, "line")
    same = run(name="one", tag="t", note="n", labels={"kind": "x"}, artifacts={"model": json.dumps(REFERENCE)})
    same.add_observation("seen", 1, 5, '"text"')
    same.add_line("stdout", 5, "line")

    assert compared(expected, same) == ([], [])
    differences, losses = compared(expected, run())
    assert (differences, {one.what for one in losses}) == (
        [], {"name", "tag", "note", "labels", "artifacts", "observations", "lines"},
    )  # fmt: skip
    changes: list[dict[str, Any]] = [
        {"name": "two"}, {"tag": "u"}, {"note": "m"}, {"labels": {"kind": "y"}}, {"artifacts": {}},
        {"artifacts": {"model": json.dumps({**REFERENCE, "size": 2})}}, {"misplaced": "experiment 'Default'"},
        {"observations": {}}, {"observations": {("seen", 2): same.observations[("seen", 1)]}},  # type: ignore[index]
        {"lines": {}}, {"lines": {"stdout": (1, 7)}},
    ]  # fmt: skip
    for change in changes:
        other = replace(same, **change)
        assert len(compared(expected, other)[0]) == 1, change


@pytest.mark.parametrize(
    ("stored", "shown", "differences", "losses"),
    [
        ("active", "active", [], []), ("deleted", "deleted", [], []), ("active", None, [], []),
        ("deleted", None, [], ["lifecycle stage"]),
        ("deleted", "active", ["lifecycle stage"], []), ("active", "deleted", ["lifecycle stage"], []),
    ],
)  # fmt: skip
def test_a_run_is_in_the_trash_of_both_or_of_none(
    stored: str, shown: str | None, differences: list[str], losses: list[str]
) -> None:
    found = compared(run(lifecycle_stage=stored), run(lifecycle_stage=shown))

    assert [[one.what for one in part] for part in found] == [differences, losses]


REFERENCE = {"uri": "s3://b/m", "size": 1, "sha256": "a" * 64}


@pytest.mark.parametrize(("shown", "is_cut"), [("n" * 250, True), ("n" * 249, False), ("", False)])
def test_a_name_that_is_shorter_is_excused_only_at_the_declared_length(shown: str, is_cut: bool) -> None:
    can = Capabilities(cut_names=(250,))

    differences, losses = compared(run(name="n" * 300), run(name=shown), can)

    assert [one.what for one in differences] == ([] if is_cut else ["name"])
    assert [one.reason for one in losses] == (["cut at 250 characters"] if is_cut else [])


@pytest.mark.parametrize(("error", "is_unread"), [(RuntimeError("odd"), True), (TrackerRefused("gone"), False)])
def test_a_run_that_cannot_be_read_is_not_taken_for_one_that_is_gone(error: Exception, is_unread: bool) -> None:
    class Odd(NothingTracker):
        def read_back(self, run_id: str, state: State) -> ReadBack:
            raise error

    held = read_tracker(Odd(), "run-1", Checkpoint(state={"deleted": True}))

    assert (bool(held.missing), held.is_unread) == (True, is_unread)


def test_a_damaged_reference_to_an_artifact_is_excused_only_at_the_declared_length() -> None:
    long = {**REFERENCE, "uri": "s3://b/" + "m" * 3_000}
    text, can = json.dumps(long), Capabilities(cut_tags=(2_000,))

    assert compared(run(artifacts={"model": [long]}), run(artifacts={"model": text[:2_000]}), can)[0] == []
    assert len(compared(run(artifacts={"model": [long]}), run(artifacts={"model": text[:1_999]}), can)[0]) == 1


def test_a_wrong_value_under_the_new_name_is_not_excused_by_a_rename() -> None:
    renamed = [StoredEdit("param", "y", "z")]
    two, three, five = (FloatValue(value=value) for value in (2, 3, 5))

    stored = run(params={"z": five, "y": three}, edits=renamed)  # renamed, then both names are set again
    assert compared(stored, run(params={"z": "5.0", "y": "3.0"}), Capabilities())[0] == []
    assert len(compared(stored, run(params={"z": "9.0", "y": "3.0"}), Capabilities())[0]) == 1
    swapped = [StoredEdit("param", "a", "c"), StoredEdit("param", "b", "a"), StoredEdit("param", "c", "b")]
    stored = run(params={"a": three, "b": two}, edits=swapped)
    assert compared(stored, run(params={"a": "2.0", "b": "3.0"}), Capabilities())[0] == []


def test_a_series_that_is_gone_differs_also_if_only_its_number_of_points_is_known() -> None:
    expected, can = run(counts_only=True, params={}), EDITS._replace(keeps_equal_points=False)
    expected.series = {"loss": SeriesFacts(3)}

    (loss,) = findings("there", expected, run({"loss": [1.0]}, params={}), can)  # three equal points may be one
    assert isinstance(loss, Loss)
    assert loss.amount == 2
    assert [one.found for one in compare("there", expected, run(params={}), can)] == [0]
    assert list(compare("there", expected, run(params={}), can._replace(keeps_non_finite=False))) == []


def test_times_within_a_millisecond_are_compared_where_both_places_know_them() -> None:
    def at(micros: int | None) -> RunFacts:
        exact = None if micros is None else [micros]
        held = run()
        held.add_columns([SeriesColumns("loss", [0], [1], [0.5], exact)])
        return held

    assert compared(at(1_000), at(1_000)) == ([], [])
    assert compared(at(1_000), at(None)) == ([], [])
    (difference,) = compared(at(1_000), at(1_012))[0]
    assert (difference.what, difference.reason) == ("checksum", "times differ by less than a millisecond")


def test_a_tracker_without_status_or_parameters_is_not_compared_by_them() -> None:
    can = EDITS._replace(keeps_status=False, keeps_params=False)

    differences, losses = compared(run(), run(status="running", params={}, started=5), can)

    assert differences == []
    assert {loss.what for loss in losses} == {"status", "params"}


def test_what_a_tracker_shows_differently_is_reported_and_excuses_nothing() -> None:
    expected = run({"loss": [1.0, 2.0]})

    differences, (loss,) = compared(expected, run({"loss": [1.0, 2.0]}, altered={"±Infinity, shown as 1e308": 3}))

    assert (differences, loss.amount, loss.reason) == ([], 3, "±Infinity, shown as 1e308")
    assert compared(expected, run({"loss": [1.0]}, altered={"equal points": 9}))[0] != []
