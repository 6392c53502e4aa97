"""Points become MLflow's JSON, and a range of steps is read as MLflow reads it."""

from __future__ import annotations

import json
import math

import pytest

from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.runs.history import BARE, rows_of, steps_of

RUNS = [
    {"run_id": "a", "steps": [-1, 0], "times_ms": [5, 6], "values": [0.1, "NaN"]},
    {"run_id": 'b"', "steps": [2**60], "times_ms": [-7], "values": ["-Infinity"]},
]


def test_rows_are_metrics_as_protobuf_writes_them() -> None:
    assert json.loads("[" + rows_of(RUNS, 'lo"ss', with_run=True) + "]") == [
        {"key": 'lo"ss', "value": 0.1, "timestamp": 5, "step": -1, "run_id": "a"},
        {"key": 'lo"ss', "value": "NaN", "timestamp": 6, "step": 0, "run_id": "a"},
        {"key": 'lo"ss', "value": -1.7976931348623157e308, "timestamp": -7, "step": 2**60, "run_id": 'b"'},
    ]


def test_the_route_of_the_pages_writes_nan_as_mlflow_does() -> None:
    assert math.isnan(json.loads(f"[{rows_of(RUNS, 'loss', words=BARE)}]")[1]["value"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (None, None)),
        ({"start_step": "-5", "end_step": "7"}, (-5, 7)),
        ({"start_step": str(-(2**70)), "end_step": str(2**70)}, (-(2**63), 2**63 - 1)),
    ],
)
def test_a_range_of_steps(given: dict[str, str], expected: tuple[int | None, int | None]) -> None:
    assert steps_of(given) == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"start_step": "1"}, "both must be specified"),
        ({"end_step": "1"}, "both must be specified"),
        ({"start_step": "2", "end_step": "1"}, "end_step must be greater than start_step"),
    ],
)
def test_no_range_of_steps(given: dict[str, str], why: str) -> None:
    with pytest.raises(Refused, match=why):
        steps_of(given)
