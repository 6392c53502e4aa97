"""What W&B gets of definitions of metrics: its own ones, and best values, the same however calls are cut."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumers.trackers.testing.checks import deliver
from consumers.trackers.testing.runs import RunAuthor
from consumers.trackers.wandb.definitions import (
    WandbDefinition,
    fold_best,
    fold_definitions,
    wandb_definitions,
)
from consumers.trackers.wandb.live.translate import translate
from consumers.trackers.wandb.tracker import WandbTracker
from consumers.trackers.wandb.writer import read_records
from schemas import events as ev
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

AT = 1_700_000_000_000_000  # µs


def points(name: str, *values: float) -> ev.Metrics:
    steps = array("q", range(len(values)))
    return ev.Metrics(time=AT, series=[ev.Series(name=name, steps=steps, times=steps, values=array("d", values))])


def defined(name: str, **said: Any) -> ev.MetricDefined:
    return ev.MetricDefined(time=AT, name=name, **said)


def folded(parts: Sequence[Sequence[ev.AnyEvent]]) -> tuple[Any, Any]:
    """Return what is known, and the best values, after these calls."""
    known, best, has_rows = dict[str, Any](), dict[str, float](), False
    for events in parts:
        known = fold_definitions(known, events, has_rows=has_rows)
        best = fold_best(best, known, events)
        has_rows |= any(isinstance(event, ev.Metrics) for event in events)
    return known, best


EVENTS = st.lists(
    st.one_of(
        st.builds(points, st.sampled_from(["loss", "val/loss"]), st.floats()),
        st.builds(defined, st.sampled_from(["loss", "*", "*loss"]), goal=st.sampled_from(["", "min", "max"])),
    ),
    max_size=8,
)


@given(EVENTS, st.lists(st.integers(0, 8), max_size=3))
def test_how_calls_are_cut_changes_nothing(events: list[ev.AnyEvent], cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(events)]

    assert folded([events[a:b] for a, b in pairwise(places)]) == folded([events])


@given(st.lists(st.floats(), max_size=10), st.sampled_from(["min", "max"]))
def test_the_best_is_that_of_all_finite_values(values: list[float], goal: str) -> None:
    finite = [value for value in values if math.isfinite(value)]
    wanted = {f"val/loss.{goal}": (min if goal == "min" else max)(finite)} if finite else {}

    said: list[ev.AnyEvent] = [defined("val/*", goal=goal), *(points("val/loss", value) for value in values)]
    assert folded([said])[1] == wanted


def test_a_goal_that_came_after_values_is_not_claimed() -> None:
    first, second, low = points("loss", 0.1), points("loss", 0.5), defined("loss", goal="min")
    late: list[ev.AnyEvent] = [first, low, second]
    changed: list[ev.AnyEvent] = [low, first, defined("loss", goal="max"), second]
    repeated: list[ev.AnyEvent] = [low, first, low, second]

    assert [folded([one])[1] for one in (late, changed, repeated)] == [{}, {}, {"loss.min": 0.1}]


def test_w_and_b_gets_names_and_patterns_that_end_in_a_star() -> None:
    said: list[ev.AnyEvent] = [
        defined("loss", goal="min", x="epoch"), defined("val/*", hidden=True), defined("*", summary="none"),
        defined("*/x", x="epoch"), defined("a*b"), defined("gw/step", x="_step", summary="max"),
    ]  # fmt: skip

    assert wandb_definitions(folded([said])[0]) == [
        WandbDefinition("loss", "epoch", False, "min"),
        WandbDefinition("val/*", "", True, ""),
        WandbDefinition("*", "", False, "", has_summary=False),
        WandbDefinition("_x67_w/step", "_x5f_step", False, "max"),
    ]


def run_of(author: RunAuthor) -> list[Envelope]:
    """Return a run with definitions before its values and an edit after them."""
    said: list[ev.AnyEvent] = [
        defined("loss", goal="min", x="epoch"), points("loss", 0.5, 0.25, math.nan), points("acc", 0.9),
        defined("acc", goal="max"), points("loss", 0.75),
        ev.Renamed(time=AT, what="series", old="acc", new="precision"),
    ]  # fmt: skip
    return [author.start(), *map(author.envelope, said)]


def test_a_run_file_has_definitions_and_best_values(tmp_path: Path) -> None:
    tracker = WandbTracker(folder=str(tmp_path))
    tracker.open(Settings())
    envelopes, state = run_of(RunAuthor("r")), dict[str, Any]()
    for end in range(1, len(envelopes) + 1):
        state = dict(deliver(tracker, "r", envelopes[end - 1 : end], state))

    records = list(read_records(tmp_path / "wandb" / state["file"], state["size"]))
    metrics = [record.metric for record in records if record.WhichOneof("record_type") == "metric"]
    assert [(one.name or one.glob_name, one.step_metric, one.goal) for one in metrics] == [
        ("gw/step", "", 0), ("*", "gw/step", 0), ("epoch", "", 0), ("loss", "epoch", 1), ("acc", "gw/step", 2),
    ]  # fmt: skip
    summary = {item.key: json.loads(item.value_json) for record in records for item in record.summary.update}
    assert (summary["loss.min"], summary["loss"], [key for key in summary if "acc" in key]) == (0.25, 0.75, [])


def test_a_live_run_gets_all_definitions_with_each_session_and_best_values_that_changed() -> None:
    envelopes, state = run_of(RunAuthor("r")), dict[str, Any]()
    summaries = []
    for end in range(1, len(envelopes) + 1):
        upload = translate("r", envelopes[end - 1 : end], state, "p")
        state = json.loads(json.dumps(upload.state))
        summaries += [dict(upload.summary)] if upload.summary else []

    assert summaries == [{"loss.min": 0.25}]
    assert [(one.name, one.x, one.goal) for one in upload.definitions] == [("loss", "epoch", "min"), ("acc", "", "max")]
