"""Rows of the wrong form are refused as a whole: one odd record must not shift the values of others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas import events as ev
from schemas.errors import BadEvent
from schemas.events.rows import MAX_NAMES
from schemas.wire import decode_run, encode_json

GOOD: dict[str, Any] = {
    "kind": "metric_rows", "time": 1, "names": ["a", "b"], "steps": [1, 2], "times": [5, 6], "values": [[1, 2], [3, 4]],
}  # fmt: skip


def decoded(**changed: Any) -> ev.MetricRows:
    record = encode_json("r", "p", 0, 1, "metric_rows", orjson.dumps(GOOD | changed))
    event = decode_run(*record).event
    assert isinstance(event, ev.MetricRows)
    return event


def test_rows_have_the_series_of_columns() -> None:
    event = decoded(values=[[1, "NaN"], ["-Infinity", 4]], integers=[0])

    assert event.points == 4
    assert [(one.name, one.integer, list(one.steps)) for one in event.series] == [
        ("a", True, [1, 2]),
        ("b", False, [1, 2]),
    ]
    assert repr([list(one.values) for one in event.series]) == "[[1.0, -inf], [nan, 4.0]]"


@pytest.mark.parametrize(
    "changed",
    [
        {"values": [[], [1, 2, 3, 4]]},
        {"values": [[], [1, 2]]},
        {"values": [[1, 2], [3]]},
        {"values": [[1, 2]]},
        {"values": []},
        {"values": [1, 2]},
        {"values": [[1, None], [3, 4]]},
        {"values": [[1, "x"], [3, 4]]},
        {"steps": [1]},
        {"steps": [1, 2.5]},
        {"times": [5]},
        {"names": []},
        {"names": ["a", "a"]},
        {"names": ["a", ""]},
        {"names": ["a", 7]},
        {"names": [["a"], "b"]},
        {"names": "ab"},
        {"names": ["a", "x" * 2_000]},
        {"names": ["a", "b\x00"]},
        {"names": [str(number) for number in range(MAX_NAMES + 1)]},
        {"integers": [2]},
        {"integers": [-1]},
        {"labels": {"rank": 3}},
    ],
)
def test_a_record_of_another_form_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(BadEvent):
        decoded(**changed)
