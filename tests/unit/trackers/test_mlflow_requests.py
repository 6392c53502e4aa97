from __future__ import annotations

import json
import math
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.trackers.mlflow.metrics import Metric
from consumers.trackers.mlflow.requests import MAX_BYTES, Call, body, split_calls

NAMES = st.text("aé\x01/", min_size=1, max_size=20)
POINTS = st.builds(Metric, NAMES, st.floats(), st.integers(0, 2**50), st.integers(-(2**60), 2**60))
METRICS = st.lists(POINTS, max_size=9)
TEXTS = st.dictionaries(NAMES, NAMES, max_size=5)


def metrics(count: int, key: str = "loss") -> list[Metric]:
    return [Metric(key, float(number), number, number) for number in range(count)]


def shape(calls: list[Call]) -> list[tuple[int, int, int]]:
    return [(len(call.metrics), len(call.params), len(call.tags)) for call in calls]


@pytest.mark.parametrize(
    ("points", "params", "tags", "expected"),
    [
        (0, 0, 0, []),
        (1_000, 0, 0, [(1_000, 0, 0)]),
        (2_500, 0, 0, [(1_000, 0, 0), (1_000, 0, 0), (500, 0, 0)]),
        (1_000, 3, 2, [(995, 3, 2), (5, 0, 0)]),
        (0, 101, 0, [(0, 100, 0), (0, 1, 0)]),
        (0, 100, 101, [(0, 100, 100), (0, 0, 1)]),
        (900, 150, 0, [(900, 100, 0), (0, 50, 0)]),
    ],
)
def test_as_few_calls_as_the_limits_allow(
    points: int, params: int, tags: int, expected: list[tuple[int, int, int]]
) -> None:
    texts = {f"w{number}": "x" for number in range(200)}

    calls = list(split_calls(metrics(points), dict(list(texts.items())[:params]), dict(list(texts.items())[:tags])))

    assert shape(calls) == expected


def test_no_call_exceeds_its_limit_unless_it_holds_a_single_value() -> None:
    calls = list(
        split_calls(metrics(1_000, "é" * 250), {f"p{n}": "\x01" * 6_000 for n in range(60)}, {"long": "x" * 10**6})
    )

    assert all(len(body("r" * 32, call)) < MAX_BYTES or call.tags for call in calls)
    assert sum(len(call.metrics) for call in calls) == 1_000


@given(METRICS, TEXTS, TEXTS)
def test_two_halves_hold_the_whole(points: list[Metric], params: dict[str, str], tags: dict[str, str]) -> None:
    whole = Call(points, params, tags)
    halves = whole.halves()

    assert (halves is None) == (len(points) + len(params) + len(tags) < 2)
    if halves is not None:
        assert all(any(half) for half in halves)
        assert repr(list(chain(*(half.metrics for half in halves)))) == repr(points)
        assert {**halves[0].params, **halves[1].params} == params
        assert {**halves[0].tags, **halves[1].tags} == tags


def test_non_finite_numbers_have_the_names_of_protobuf() -> None:
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324]

    found = json.loads(body("run", Call([Metric("loss", value, 1, 2) for value in values])))

    assert [row["value"] for row in found["metrics"]] == ["NaN", "Infinity", "-Infinity", -0.0, 5e-324]
