"""The run log shows every value of a series, whatever kinds of values share its name."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.store.read.charts.summaries import Sample
from consumers.store.read.documents import RunRows, SeriesPoints, run_log

RUN = {
    "run_id": "r1", "name": "", "tag": "", "group_name": "", "parent_run_id": "", "original_run_id": "", "dag_hash": "",
    "use_cached": False, "run_config": {}, "shown": "running", "message": "", "started": 1, "ended": None, "note": "",
    "environment": {}, "points_dropped": None, "in_experiment": "", "experiment": "", "lifecycle_stage": "active",
}  # fmt: skip
MAIN = {"step_name": "main", "name": "main", "state": "running", "step_type": "task", "message": "", "mock": False}


def seen(step: int, value: Any, kind: str = "json", *, time: int = 0, labels: dict[str, str] | None = None) -> Any:
    typed = {"type": kind, "value": value}
    return {
        "step_name": "main", "name": "best", "labels": labels or {}, "step": step, "time": time or step, "value": typed
    }  # fmt: skip


def shown(points: list[Sample], observations: list[Any], *, total: int | None = None) -> tuple[Any, dict[str, int]]:
    count = len(points) if total is None else total
    series = SeriesPoints(step_name="main", name="best", integer=False, total=count, points=points)
    rows = RunRows(
        run=RUN, steps=[MAIN], attempts=[], params=[], tags=[], labels=[], artifacts=[], code=[], producers=[],
        observations=observations,
    )  # fmt: skip
    log = run_log(rows, [series] if points else [])
    return log.steps["main"].user_defined_metrics, log.shortened


POINTS = [Sample(step, step, step / 2) for step in range(1, 4)]


@pytest.mark.parametrize(
    ("observation", "value"),
    [
        (seen(0, None), None),
        (seen(0, "no best yet", "string"), "no best yet"),
        (seen(0, True, "bool"), True),
        (seen(0, str(2**70), "int"), str(2**70)),
        (seen(0, "NaN", "float"), "NaN"),
    ],
)
def test_a_value_that_is_no_point_hides_no_point(observation: Any, value: Any) -> None:
    metrics, shortened = shown(POINTS, [observation])

    assert metrics == {"best": {"0": value, "1": 0.5, "2": 1.0, "3": 1.5}}
    assert list(metrics["best"]) == ["0", "1", "2", "3"]
    assert shortened == {}


def test_of_one_step_the_latest_value_shows_whichever_kind_it_is() -> None:
    earlier, later = seen(2, "earlier", "string", time=1), seen(3, "later", "string", time=9)

    metrics, _ = shown(POINTS, [earlier, later])

    assert metrics == {"best": {"1": 0.5, "2": 1.0, "3": "later"}}


def test_labels_tell_series_apart() -> None:
    metrics, _ = shown(POINTS[:1], [seen(1, "x", "string", labels={"rank": "7"})])

    assert metrics == {"best": {"1": 0.5}, "best{rank=7}": {"1": "x"}}


def test_shortened_names_series_of_both_kinds() -> None:
    metrics, shortened = shown(POINTS, [seen(0, None)], total=9)

    assert len(metrics["best"]) == 4
    assert shortened == {"best": 9}


def test_observations_alone_show_as_before() -> None:
    metrics, _ = shown([], [seen(1, "b", "string"), seen(0, "a", "string")])

    assert metrics == {"best": {"0": "a", "1": "b"}}
