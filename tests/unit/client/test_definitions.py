"""What training code says of metrics is recorded once, and never raises."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.client_harness import Memory


class Hostile:
    """An object whose every reading fails."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    __repr__ = __eq__ = __str__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


def said(memory: Memory) -> list[dict[str, Any]]:
    """Return the definitions in the log, without what they leave out."""
    found = [event for event in memory.events() if isinstance(event, ev.MetricDefined)]
    return [event.model_dump(exclude={"kind", "time"}, exclude_defaults=True) for event in found]


def test_a_definition_says_all_that_was_given(run: Run, memory: Memory) -> None:
    run.define_metric(
        "val/*", goal="minimize", unit="nat", panel="Losses", x="epoch", alarm="> 10 or nan", description="d",
        hidden=True, summary="min",
    )  # fmt: skip
    run.finish()

    assert said(memory) == [
        {
            "name": "val/*", "goal": "min", "unit": "nat", "panel": "Losses", "x": "epoch", "alarm": "> 10 or nan",
            "description": "d", "hidden": True, "summary": "min",
        }
    ]  # fmt: skip


def test_what_is_left_out_stays_and_a_loop_records_one_event(run: Run, memory: Memory) -> None:
    for _ in range(1_000):
        run.define_metric("loss", goal="min")
    run.define_metric("loss", unit="nat", summary="best")
    run.define_metric("loss", goal="", unit="nat")
    run.define_metric("seen")
    run.define_metric("seen")
    run.finish()

    assert said(memory) == [
        {"name": "loss", "goal": "min"},
        {"name": "loss", "goal": "min", "unit": "nat"},
        {"name": "loss", "unit": "nat"},
        {"name": "seen"},
    ]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"goal": "up"}, {}),
        ({"goal": Hostile(), "unit": "s"}, {"unit": "s"}),
        ({"summary": ["min"]}, {}),
        ({"unit": 3, "panel": None}, {"unit": "3"}),
        ({"unit": "é" * 1_024}, {"unit": "é" * 512}),
        ({"x": "a\x00b\ud800"}, {"x": "a\ufffdb\ufffd"}),
        ({"unit": Hostile()}, {"unit": "<Hostile>"}),
        ({"hidden": 1}, {"hidden": True}),
    ],
)
def test_what_does_not_fit_is_left_out(run: Run, memory: Memory, given: Any, wanted: Any) -> None:
    run.define_metric("loss", **given)
    run.finish()

    assert said(memory) == [{"name": "loss", **wanted}]


@pytest.mark.parametrize("given", [{"hidden": Hostile()}, {"colour": "red"}])
def test_a_call_that_cannot_be_kept_is_reported_and_training_continues(run: Run, memory: Memory, given: Any) -> None:
    run.define_metric("loss", **given)
    run.emit("loss", 0.5)
    run.finish()

    assert said(memory) == []
    assert run.health()["notices"]["define_metric"] == 1


@pytest.mark.parametrize("name", [Hostile(), "", "n" * 2_000, 7])
def test_any_name_becomes_a_name(run: Run, memory: Memory, name: Any) -> None:
    run.define_metric(name, goal="max")
    run.finish()

    assert [one["goal"] for one in said(memory)] == ["max"]
