from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.comparison import RunFacts, compare
from schemas.facts import Point, SeriesFacts

POINTS = st.lists(
    st.builds(Point, st.sampled_from(["a", "b"]), st.integers(0, 3), st.integers(0, 3), st.floats(width=16)), max_size=9
)


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


def test_another_status_is_a_difference_but_lost_is_as_good_as_running() -> None:
    assert list(compare("mlflow", held([], status="lost"), held([], status="running"))) == []
    assert [d.what for d in compare("mlflow", held([], status="failed"), held([], status="running"))] == ["status"]


def test_a_run_that_is_not_there_counts_nothing_and_says_why() -> None:
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


def test_a_place_that_does_not_say_when_is_not_asked() -> None:
    expected = held([])
    expected.started = 1_000_000

    assert list(compare("trackio", expected, held([]))) == []


@given(POINTS.filter(len))
def test_points_that_retention_dropped_are_compared_by_number_only(points: list[Point]) -> None:
    counted = RunFacts("run-1", "finished", {"lr": "0.1"}, counts_only=True)
    for point in points:
        counted.series.setdefault(point.series, SeriesFacts()).points += 1

    assert list(compare("mlflow", counted, held(points))) == []
    (difference,) = compare("mlflow", counted, held(points[1:]))
    assert (difference.what, difference.name) == ("points", points[0].series)
