"""
What a chart holds of its series: points as they were read, and those that the stream added. Pure, and bounded.

A series that outgrows its bound, or whose points were replaced, asks to be read again (`is_stale`): the API puts long
series into buckets, exactly, so nothing is thinned here.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.notebook.frames import encode
from schemas.columns import float_column, int_column

MOST_SERIES = 200
MOST_POINTS = 8_000  # of a series: twice what its buckets have
MOST_SENT = 20_000  # new points in one message; of more the page gets the whole state

Columns = tuple[Sequence[int], Sequence[int], Sequence[float]]


class Curve:
    """One series of one run."""

    def __init__(self, facts: Mapping[str, Any], columns: Columns, as_of: Mapping[int, int]) -> None:
        self.facts = dict(facts)
        self.columns = (array("q", columns[0]), array("q", columns[1]), array("d", columns[2]))
        self.as_of = as_of  # per partition the offset below which its points are here

    def extend(self, columns: Columns, count: int) -> None:
        """Add new points, `count` of which were recorded."""
        steps, times, values = self.columns
        steps.extend(columns[0])
        times.extend(columns[1])
        values.extend(columns[2])
        self.facts["count"] += count
        self.facts["exact"] = self.facts["exact"] and count == len(columns[0])


class Curves:
    """The series of one chart. `number` counts its states: a page that missed one waits for the whole."""

    def __init__(self) -> None:
        self.number = 0
        self.reading = 0  # how often the series were read: points may have been replaced in between
        self.is_stale = False
        self._held: dict[tuple[str, str], Curve] = {}
        self._head: dict[str, Any] = {"runs": [], "cut": ""}

    def replace(self, head: Mapping[str, Any], series: Iterable[Mapping[str, Any]]) -> None:
        """Hold what was read: series as the API answers them, each with the offsets of its answer as `as_of`."""
        self._head = dict(head)
        self._held = {(one["run_id"], one["series"]): _curve(one) for one in series}
        self.number += 1
        self.reading += 1
        self.is_stale = False

    def add(self, rows: Iterable[Mapping[str, Any]]) -> bytes | None:
        """Add rows of the stream and return them as a message for the page; None where it needs the whole state."""
        added = [found for row in rows if (found := self._taken(row)) is not None]
        if not added:
            return None
        self.number += 1
        self.is_stale |= any(len(one.columns[0]) > MOST_POINTS for one in self._held.values())
        if sum(len(columns[0]) for _, columns in added) > MOST_SENT:
            return None
        return encode({"kind": "more", "number": self.number}, added)

    def state(self) -> bytes:
        """Return everything as one frame."""
        series = [(one.facts, one.columns) for one in self._held.values()]
        return encode({**self._head, "kind": "all", "number": self.number, "reading": self.reading}, series)

    def __len__(self) -> int:
        return len(self._held)

    def _taken(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], Columns] | None:
        key = (str(row["run_id"]), str(row["series"]))
        curve = self._held.get(key)
        if curve is None:
            if len(self._held) >= MOST_SERIES:
                return None
            facts = {"run_id": key[0], "series": key[1], "count": 0, "exact": True, "unit": "", "marks": []}
            curve = self._held[key] = Curve(facts, ([], [], []), {})
        known = curve.as_of.get(row["partition"], 0)
        if row["offset"] < known:
            return None  # in what was read
        if len(curve.columns[0]) > MOST_POINTS:
            return None  # it is read again
        if row.get("first_offset", row["offset"]) < known:
            self.is_stale = True  # some of the points that became this one row were read before
            return None
        columns = columns_of(row["columns"])
        curve.extend(columns, len(columns[0]) + (row.get("left_out") or 0))
        return {"run_id": key[0], "series": key[1]}, columns


def columns_of(columns: Mapping[str, Any]) -> Columns:
    """Return columns of the API as numbers."""
    return int_column(columns["steps"]), int_column(columns["times"]), float_column(columns["values"])


def facts_of(series: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a series besides its points."""
    facts = {name: series[name] for name in ("run_id", "series", "count", "exact", "marks")}
    dropped = series.get("points_dropped") is not None
    return {**facts, "unit": series.get("unit") or "", **({"dropped": True} if dropped else {})}


def offsets_of(as_of: str) -> dict[int, int]:
    """Return offsets of the API, `0:120,3:7`, by partition."""
    pairs = (part.split(":") for part in as_of.split(",") if part)
    return {int(partition): int(offset) for partition, offset in pairs}


def _curve(one: Mapping[str, Any]) -> Curve:
    return Curve(facts_of(one), columns_of(one["columns"]), offsets_of(one["as_of"]))
