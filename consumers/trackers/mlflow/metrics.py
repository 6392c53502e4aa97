"""
Metric points as MLflow's rows, and back.

Pure. Times become milliseconds; keys are escaped as schemas/mapping/names.py describes. What MLflow merges (equal rows)
and clips (infinities) is not undone: the capabilities of the tracker declare it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from consumers.trackers.mlflow.mapping_state import MAX_KEPT, MappingState, key_of
from schemas import events as ev
from schemas.facts import Point
from schemas.names import series_name


class Metric(NamedTuple):
    """One metric point."""

    key: str
    value: float
    time_ms: int
    step: int


class MetricCollector:
    """Collects the points of events in log order."""

    def __init__(self, before: MappingState) -> None:
        self.metrics: list[Metric] = []
        self._before = before
        self.names: dict[str, str] = {}  # by key: names that were too long

    def add(self, event: ev.Points) -> None:
        """Add the points of an event."""
        for series in event.series:
            key = key_of(series_name(series.name, series.labels, event.step_name), self.names)
            columns = zip(series.values, series.times, series.steps, strict=True)
            self.metrics += [Metric(key, value, time // 1_000, step) for value, time, step in columns]

    def update(self, state: MappingState) -> MappingState:
        """Return the mapping state with the number of infinities, which MLflow clips."""
        infinite, others = dict(self._before.infinite), self._before.infinite_others
        for key, value, _, _ in self.metrics:
            if math.isinf(value):
                if key in infinite or len(infinite) < MAX_KEPT:
                    infinite[key] = infinite.get(key, 0) + 1
                else:
                    others += 1
        return state.with_names(self.names)._replace(infinite=infinite, infinite_others=others)


def read_points(rows: Iterable[Metric], state: MappingState, remote_tags: Mapping[str, str]) -> Iterator[Point]:
    """Yield the points of rows under the names they had."""
    for key, value, time, step in rows:
        yield Point(state.name_of(key, remote_tags), step, time, value)
