"""
Metric points as MLflow's rows, and back.

Pure. Times become milliseconds; keys are escaped as schemas/mapping/names.py describes. What MLflow merges (equal rows)
and clips (infinities) is not undone: the capabilities of the tracker declare it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple, overload

from consumers.trackers.mlflow.mapping_state import MAX_KEPT, MappingState, key_of
from schemas import events as ev
from schemas.facts import SeriesColumns
from schemas.names import series_name


class Metric(NamedTuple):
    """One metric point."""

    key: str
    value: float
    time_ms: int
    step: int


class MetricColumns(NamedTuple):
    """Points of one metric, in columns of the same length."""

    key: str
    values: Sequence[float]
    times_ms: Sequence[int]
    steps: Sequence[int]

    def rows(self) -> Iterator[Metric]:
        """Yield the points one by one."""
        return map(Metric, (self.key,) * len(self.values), self.values, self.times_ms, self.steps)


class Metrics(Sequence[Metric]):
    """Points in columns: a million objects, one a point, would be looked through by each garbage collection."""

    def __init__(self, points: Iterable[Metric] = ()) -> None:
        columns = list(zip(*points, strict=True)) or [()] * 4
        self.keys: list[str] = list(columns[0])
        self.values: list[float] = list(columns[1])
        self.times_ms: list[int] = list(columns[2])
        self.steps: list[int] = list(columns[3])

    @classmethod
    def of(cls, points: Sequence[Metric]) -> Metrics:
        """Return points in columns, themselves if they already are."""
        return points if isinstance(points, Metrics) else cls(points)

    def add(self, key: str, values: Sequence[float], times_ms: Sequence[int], steps: Sequence[int]) -> None:
        """Add points of one metric."""
        self.keys += [key] * len(values)
        self.values += values
        self.times_ms += times_ms
        self.steps += steps

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Metric: ...

    @overload
    def __getitem__(self, at: slice) -> Metrics: ...

    def __getitem__(self, at: int | slice) -> Metric | Metrics:
        if isinstance(at, int):
            return Metric(self.keys[at], self.values[at], self.times_ms[at], self.steps[at])
        part = Metrics()
        part.keys, part.values, part.times_ms, part.steps = (
            self.keys[at], self.values[at], self.times_ms[at], self.steps[at]
        )  # fmt: skip
        return part

    def __iter__(self) -> Iterator[Metric]:
        return map(Metric, self.keys, self.values, self.times_ms, self.steps)


class MetricCollector:
    """Collects the points of events in log order."""

    def __init__(self, before: MappingState) -> None:
        self.metrics = Metrics()
        self._before = before
        self.names: dict[str, str] = {}  # by key: names that were too long

    def add(self, event: ev.Points) -> None:
        """Add the points of an event."""
        for series in event.series:
            key = key_of(series_name(series.name, series.labels, event.step_name), self.names)
            self.metrics.add(key, series.values, [time // 1_000 for time in series.times], series.steps)

    def update(self, state: MappingState) -> MappingState:
        """Return the mapping state with the number of infinities, which MLflow clips."""
        infinite, others = dict(self._before.infinite), self._before.infinite_others
        for key in compress(self.metrics.keys, map(math.isinf, self.metrics.values)):
            if key in infinite or len(infinite) < MAX_KEPT:
                infinite[key] = infinite.get(key, 0) + 1
            else:
                others += 1
        return state.with_names(self.names)._replace(infinite=infinite, infinite_others=others)


def series_columns(
    found: Iterable[MetricColumns], state: MappingState, remote_tags: Mapping[str, str]
) -> Iterator[SeriesColumns]:
    """Yield columns of points under the names that their series had."""
    for key, values, times_ms, steps in found:
        yield SeriesColumns(state.name_of(key, remote_tags), steps, times_ms, values)
