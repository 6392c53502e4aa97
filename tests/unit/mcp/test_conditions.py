"""Conditions on a run: what each text means, and what of an event fulfils it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client.errors import ClientError
from gateway.mcp.conditions import read_condition


def metrics(series: str, *points: tuple[int, float | str]) -> dict[str, Any]:
    return {"kind": "metrics", "series": [{"series": series, "points": [[step, 5, value] for step, value in points]}]}


@pytest.mark.parametrize(
    ("text", "event", "found"),
    [
        ("loss < 0.3", metrics("loss", (1, 0.4), (2, 0.2), (3, 0.1)), (2, 0.2)),
        ("loss<=.25", metrics("loss", (1, 0.25)), (1, 0.25)),
        ("`val/loss{rank=3}` > 1e3", metrics("val/loss{rank=3}", (1, "Infinity")), (1, "Infinity")),
        ("val/loss > 1", metrics("loss", (1, 5.0)), None),
        ("step(loss) >= 10", metrics("loss", (9, 1.0), (10, 2.0)), (10, 2.0)),
        ("loss is nan", metrics("loss", (1, 1.0), (4, "NaN")), (4, "NaN")),
        ("loss is NaN", metrics("loss", (4, "-Infinity")), (4, "-Infinity")),
        ("loss < 0.3", metrics("loss", (1, "NaN")), None),
        ("loss != 1", metrics("loss", (1, 1.0)), None),
    ],
)
def test_points_that_fulfil_a_condition(text: str, event: dict[str, Any], found: tuple[int, Any] | None) -> None:
    holds = read_condition(text).holds_event(event)

    assert (holds and (holds["step"], holds["value"])) == found


def test_ends_and_any_event() -> None:
    failed = {"kind": "run_failed", "message": "out of memory"}

    assert read_condition("ended").holds_event(failed) == {"state": "failed", "message": "out of memory"}
    assert read_condition("Failed").holds_event(failed) is not None
    assert read_condition("finished").holds_event(failed) is None
    assert read_condition("event").holds_event({"kind": "tags"}) == {"kind": "tags"}
    assert read_condition("killed").holds_state("killed")


@pytest.mark.parametrize(
    "text", ["", "loss", "loss < x", "loss < nan", "loss < inf", "step(loss < 1", "a b < 1", "< 1"]
)
def test_a_text_that_is_no_condition_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ClientError, match=r"step\(loss\) >= 1000"):
        read_condition(text)
