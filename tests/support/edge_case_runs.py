"""A run with the edge cases of trackers, and the facts that each tracker must hold of it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence

from consumers.trackers.fidelity import expected_points
from consumers.trackers.mlflow.tracker import MlflowTracker
from schemas import events as ev
from schemas.facts import Facts, Point
from schemas.names import series_name
from schemas.values import FloatValue, HistogramValue, IntValue, JsonValue, StringValue
from schemas.wire import Envelope
from tests.support.log_author import Author

HOSTILE_NAMES = [
    "loss", "with space", "émojі 😀", "a//b", "..", "../up", "/lead", "trail/", "a[0]{b}", "_step", "gw/step",
    "gw.run_id", "a::b:", "_x5f_", "x" * 1024, "😀" * 256, "a.b", "new\nline", "'quote\"s'", "_timestamp",
]  # fmt: skip
HOSTILE_RUN_ID = "swe ep/7: #é'\"😀?"


def edge_case_envelopes(run_id: str) -> list[Envelope]:
    """Return the envelopes of a run with edge cases, in order."""
    author = Author(run_id)
    values = [0.1, math.nan, math.inf, -math.inf, -0.0, 1e-320, 5e300]
    return [
        author.start(name="odd one", tag="odd tag", group="sweep"),
        author.envelope(
            ev.Params(
                time=author.now(),
                params={"lr": FloatValue(value=0.1), "a[0]": IntValue(value=7), "gw.x": StringValue(value="é")},
            )
        ),
        *(author.metrics(name, values) for name in HOSTILE_NAMES),
        author.metrics("falling", [3.0, 2.0], first_step=-5),
        author.metrics("falling", [1.0, 2.0], first_step=-7),
        _labelled(author),
        author.metrics("loss", [9.0, 8.0], first_step=1, attempt=2),
        author.metrics("loss", [1.0], step_name="validate"),
        author.envelope(
            ev.Values(
                time=author.now(),
                values=[
                    ev.Observation(name="spam", step=3, time=author.now(), value=StringValue(value="NaN")),
                    ev.Observation(name="big", step=0, time=author.now(), value=IntValue(value=10**40)),
                    ev.Observation(name="five", step=0, time=author.now(), value=JsonValue(value=5)),
                    ev.Observation(name="spread", step=0, time=author.now(), value=_histogram()),
                ],
            )
        ),
        author.envelope(ev.Tags(time=author.now(), tags={"team": "vision", "a//b": "x" * 9_000})),
        author.envelope(ev.Note(time=author.now(), text="looks odd")),
        author.envelope(ev.Params(time=author.now(), attempt=2, params={"lr": FloatValue(value=0.2)})),
        author.envelope(ev.RunFailed(time=author.now(), message="ValueError: odd")),
    ]


def points_of(envelopes: Iterable[Envelope]) -> list[Point]:
    """Return every metric point of these envelopes, as each tracker must hold it."""
    return [
        Point(series_name(series.name, series.labels, event.step_name), step, time // 1_000, value)
        for event in (envelope.event for envelope in envelopes)
        if isinstance(event, ev.Points)
        for series in event.series
        for step, time, value in zip(series.steps, series.times, series.values, strict=True)
    ]


def mlflow_points_of(envelopes: Iterable[Envelope]) -> Iterator[Point]:
    """Yield the points of these envelopes as MLflow holds them."""
    return expected_points(points_of(envelopes), MlflowTracker.capabilities)


def facts_of(run_id: str, points: Iterable[Point], params: int) -> Facts:
    """Return the facts of a run."""
    facts = Facts()
    facts.add_run(run_id, points, params)
    return facts


def _labelled(author: Author) -> Envelope:
    time = author.now()
    series = [_series({"rank": str(rank), "subset": "a"}, [1, 1, 0], time) for rank in range(3)]
    return author.envelope(ev.Metrics(time=time, series=series))


def _series(labels: dict[str, str], steps: Sequence[int], time: int) -> ev.Series:
    # Equal steps and times: a step was logged twice within a microsecond.
    values = array("d", [float(i) for i in range(len(steps))])
    return ev.Series(name="loss", labels=labels, steps=array("q", steps), times=array("q", [time] * 3), values=values)


def _histogram() -> HistogramValue:
    return HistogramValue.model_validate({"value": {"counts": [1, 2], "edges": [0, 1, 2]}})
