"""
Runs with everything that trackers get wrong, for the contract suite; and what must be found of them anywhere.

Pure. Times are long ago, on purpose: a tracker that stamps its own shows it.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Sequence

from schemas import events as ev
from schemas.facts import Point
from schemas.names import series_name
from schemas.values import FloatValue, Histogram, HistogramValue, IntValue, JsonValue, StringValue
from schemas.wire import Batch, ProducerId, RunId

START = 1_500_000_000_000_000  # µs: 2017-07-14
STEP_OF_TIME = 1_500  # µs between two instants
VALUES = (0.1, math.nan, math.inf, -math.inf, -0.0, 5e-324, sys.float_info.max, -sys.float_info.max, 1 / 3)
NAMES = (
    "loss", "LOSS", "with space", "with_space", "émojі 😀", "a//b", "a/b", "a_b", "..", "../up", "/lead", "trail/",
    "a[0]{b}", "_step", "gw/step", "gw.run_id", "gw/params", "a::b:", "_x5f_", "a.b", "new\nline", "'quote\"s'",
    "_timestamp", "x" * 300, "x" * 299 + "y", "y" * 1_024, "😀" * 300, "%2F", "NUL", "-", "epoch", "run",
)  # fmt: skip


class RunAuthor:
    """One producer of one run, numbering its batches; each instant is 1.5 ms after the last one."""

    def __init__(self, run_id: str, producer: str = "p1", *, time: int = START) -> None:
        self._run_id, self._producer, self._seq = RunId(run_id), ProducerId(producer), 0
        self._time = time

    def now(self) -> int:
        """Return a new instant, in µs."""
        self._time += STEP_OF_TIME
        return self._time

    def batch(self, event: ev.AnyEvent) -> Batch:
        """Return the next batch."""
        self._seq += 1
        return Batch(self._run_id, self._producer, self._seq - 1, event.time, event)

    def start(self, **fields: object) -> Batch:
        """Return the start of the run."""
        return self.batch(ev.RunStarted.model_validate({"time": self.now(), **fields}))

    def finish(self) -> Batch:
        """Return the end of the run."""
        return self.batch(ev.RunFinished(time=self.now()))

    def metrics(self, name: str, values: Sequence[float], steps: Sequence[int] = (), *, attempt: int = 1) -> Batch:
        """Return points of one series; steps count from 0 unless given."""
        return self.at([self.now() for _ in values], name, values, steps, attempt=attempt)

    def at(
        self, times: Sequence[int], name: str, values: Sequence[float], steps: Sequence[int] = (), *, attempt: int = 1
    ) -> Batch:
        """Return points of one series at these instants."""
        series = ev.Series(
            name=name,
            steps=array("q", steps or range(len(values))),
            times=array("q", times),
            values=array("d", values),
        )
        return self.batch(ev.Metrics(time=times[-1], series=[series], attempt=attempt))

    def params(self, attempt: int = 1, **params: float | str) -> Batch:
        """Return parameters."""
        typed = {
            name: StringValue(value=value) if isinstance(value, str) else FloatValue(value=value)
            for name, value in params.items()
        }
        return self.batch(ev.Params.model_validate({"time": self.now(), "attempt": attempt, "params": typed}))


def odd_run(run_id: str) -> list[Batch]:
    """Return a run of two attempts with odd values, names and steps, in log order."""
    author, other = RunAuthor(run_id), RunAuthor(run_id, "p2", time=START + 700)
    instant = author.now()
    return [
        author.start(name="odd one", tag="contract", group="sweep"),
        author.params(lr=0.1, text="x" * 20_000),
        author.batch(ev.Params(time=author.now(), params={"a[0]": IntValue(value=7), "gw.x": StringValue(value="é")})),
        *(author.metrics(name, VALUES) for name in NAMES),
        author.metrics("falling", [3.0, 2.0, 1.0], [5, -7, 2**40]),
        other.metrics("falling", [9.0, 8.0], [-5, -5]),
        author.at([instant] * 4, "equal", [1.0, 1.0, 2.0, math.nan], [1, 1, 1, 1]),
        author.batch(_labelled(author)),
        author.batch(_observations(author)),
        author.batch(ev.Tags(time=author.now(), tags={"team": "vision", "a//b": "x" * 9_000})),
        author.batch(ev.Note(time=author.now(), text="looks odd 😀")),
        author.batch(ev.Artifact(time=author.now(), name="model.pt", uri="s3://bucket/model.pt", size=5)),
        author.batch(ev.RunFailed(time=author.now(), message="ValueError: odd")),
        author.batch(ev.RunResumed(time=author.now(), attempt=2)),
        author.params(2, lr=0.2),
        author.metrics("loss", [0.5, 0.25], [1, 2], attempt=2),
        other.metrics("loss", [0.75], [2], attempt=2),
        author.finish(),
    ]


def points_of(batches: Iterable[Batch]) -> list[Point]:
    """Return every metric point of some batches, in log order."""
    return [
        Point(series_name(series.name, series.labels, event.step_name), step, time // 1_000, value)
        for event in (batch.event for batch in batches)
        if isinstance(event, ev.Metrics | ev.SystemMetrics)
        for series in event.series
        for step, time, value in zip(series.steps, series.times, series.values, strict=True)
    ]


def params_of(batches: Iterable[Batch]) -> set[str]:
    """Return the names of all parameters of some batches."""
    return {name for batch in batches if isinstance(batch.event, ev.Params) for name in batch.event.params}


def _labelled(author: RunAuthor) -> ev.Metrics:
    time = author.now()
    return ev.Metrics(
        time=time,
        step_name="validate",
        series=[
            ev.Series(name="loss", labels={"rank": str(rank), "subset": "a"}, steps=[1], times=[time], values=[rank])
            for rank in range(3)
        ],
    )


def _observations(author: RunAuthor) -> ev.Values:
    values = [
        StringValue(value="NaN"),
        IntValue(value=10**40),
        JsonValue(value={"five": [5, None]}),
        HistogramValue(value=Histogram(counts=[1, 2], edges=[0, 1, 2])),
    ]
    seen = [
        ev.Observation(name=f"seen {index}", step=3, time=author.now(), value=value)
        for index, value in enumerate(values)
    ]
    return ev.Values(time=author.now(), values=seen)
