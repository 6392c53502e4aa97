"""
Metric points as MLflow's rows, and back.

Pure. Times become milliseconds; keys are escaped as schemas/mapping/names.py describes. The collector records in the
mapping state which rows MLflow will merge or clip.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from consumers.trackers.mlflow.mapping_state import MappingState, Row, key_of
from schemas import events as ev
from schemas.columns import float_to_json
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
        self._names: dict[str, str] = {}

    def add(self, event: ev.Metrics | ev.SystemMetrics) -> None:
        """Add the points of an event."""
        for series in event.series:
            key = key_of(series_name(series.name, series.labels, event.step_name), self._names)
            columns = zip(series.values, series.times, series.steps, strict=True)
            self.metrics += [Metric(key, value, time // 1_000, step) for value, time, step in columns]

    def update(self, state: MappingState) -> MappingState:
        """Return the mapping state with what MLflow merges and clips of the collected points."""
        before = self._before
        doubles = dict(before.doubles)
        known = set(before.newest)
        newest: dict[str, list[Row]] = {}
        for old in before.newest:
            newest.setdefault(old[0], []).append(old)
        infinite, largest = dict(before.infinite), list(before.largest)
        for key, value, time, step in self.metrics:
            row: Row = (key, step, time, float_to_json(value))
            if row in known:
                doubles[row] = doubles.get(row, 0) + 1
                continue
            known.add(row)
            last = newest.get(key)
            if last is None or time > last[0][2]:
                newest[key] = [row]
            elif time == last[0][2]:
                last.append(row)
            if math.isinf(value):
                infinite[key] = infinite.get(key, 0) + 1
            elif abs(value) == sys.float_info.max:
                largest.append((key, step, time))
        return state._replace(
            names={**state.names, **self._names}, doubles=list(doubles.items()),
            newest=[row for rows in newest.values() for row in rows], infinite=infinite, largest=largest,
        )  # fmt: skip


def read_points(rows: Iterable[Metric], state: MappingState) -> Iterator[Point]:
    """Yield the points of rows as they were before MLflow clipped and merged them."""
    doubles = dict(state.doubles)
    largest = set(state.largest)
    for key, stored, time, step in rows:
        clipped = abs(stored) == sys.float_info.max and (key, step, time) not in largest and key in state.infinite
        value = math.copysign(math.inf, stored) if clipped else stored
        point = Point(state.name_of(key), step, time, value)
        for _ in range(1 + doubles.get((key, step, time, float_to_json(value)), 0)):
            yield point
