"""
Cut what a run emitted into events of the contract. Pure: no clock, no I/O.

Points are gathered into one `metrics` event for each named step and attempt, other values into `values` events, until
1,000 of them or 256 KiB are together, or the items given are used up; the shipper asks every 200 ms or sooner. An
event of any other kind closes what is open, so what was emitted before it is in the log before it.
"""

from __future__ import annotations

from gateway.client.journal import Event, Marker, Observation
from gateway.client.notices import say_once
from gateway.client.values import INT64, clean_name, dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from gateway.client.journal import Item, Where

    Key = tuple[str, str, tuple[tuple[str, str], ...]]  # name, named step, labels: one series of this process

MAX_POINTS = 1_000  # in one event
MAX_BYTES = 262_144  # estimated, in one event
POINT_BYTES = 48  # of a point in JSON: step, 16 digits of time, 18 of value, commas
SERIES_BYTES = 96  # of a series around its columns


class Cut:
    """One event, ready for the wire."""

    __slots__ = ("body", "points", "values")

    def __init__(self, body: dict[str, Any], points: int = 0, values: int = 0) -> None:
        self.body = body
        self.points = points  # metric points in it
        self.values = values  # other values in it


class _Columns:
    """Points of one series since the last cut."""

    __slots__ = ("name", "steps", "times", "values", "where")

    def __init__(self, name: str, where: Where) -> None:
        self.name = name
        self.where = where
        self.steps: list[Any] = []
        self.times: list[int] = []  # ns
        self.values: list[float | int] = []


class Cutter:
    """Remembers between cuts only the largest step of each series, to number the points that came without one."""

    def __init__(self) -> None:
        self._last: dict[Key, int] = {}
        self._names: dict[str, str] = {}  # as given -> as the contract holds it
        self._open: dict[Where, dict[str, _Columns]] = {}
        self._observations: list[Observation] = []
        self._points = 0
        self._bytes = 0

    def cut(self, items: Iterable[Item]) -> list[Cut | Marker]:
        """Return the events of all items, and the markers where they stood between them."""
        out: list[Cut | Marker] = []
        here: Where | None = None
        table: dict[str, _Columns] = {}
        for item in items:
            if isinstance(item, tuple):
                name, value, step, time, where = item
                if where is not here:
                    here, table = where, self._open.setdefault(where, {})
                columns = table.get(name) or self._start(name, where, table)
                columns.steps.append(step)
                columns.times.append(time)
                columns.values.append(value)
                self._points += 1
                if self._points >= MAX_POINTS or self._points * POINT_BYTES + self._bytes >= MAX_BYTES:
                    self._close(out)
                    here = None
            elif isinstance(item, Observation):
                self._observe(item, out)
                here = None
            else:
                self._close(out)
                here = None
                out.append(Cut(item.body) if isinstance(item, Event) else item)
        self._close(out)
        return out

    def _start(self, name: str, where: Where, table: dict[str, _Columns]) -> _Columns:
        fit = self._names.get(name)
        if fit is None:
            fit = self._names[name] = clean_name(name)
        columns = table.get(fit)
        if columns is None:
            columns = table[fit] = _Columns(fit, where)
            self._bytes += SERIES_BYTES + 4 * len(fit) + sum(8 + 4 * len(k) + 4 * len(v) for k, v in where[2])
        table[name] = columns
        return columns

    def _observe(self, seen: Observation, out: list[Cut | Marker]) -> None:
        size = seen.size + SERIES_BYTES + 4 * len(seen.name)
        if self._observations and self._bytes + size > MAX_BYTES:
            self._close(out)
        self._observations.append(seen)
        self._bytes += size
        if len(self._observations) >= MAX_POINTS:
            self._close(out)

    def _close(self, out: list[Cut | Marker]) -> None:
        """Write the open points and values as events, the points first."""
        if self._open:
            self._close_points(out)
        if self._observations:
            self._close_values(out)
        self._points = self._bytes = 0

    def _close_points(self, out: list[Cut | Marker]) -> None:
        scopes: dict[tuple[str, int], list[dict[str, Any]]] = {}
        count: dict[tuple[str, int], int] = {}
        for where, table in self._open.items():
            for columns in {id(columns): columns for columns in table.values()}.values():
                scopes.setdefault(where[:2], []).append(self._series(columns))
                count[where[:2]] = count.get(where[:2], 0) + len(columns.times)
        self._open = {}
        for scope, several in scopes.items():
            body = {
                "kind": "metrics",
                "time": max(one["times"][-1] for one in several),
                "step_name": scope[0],
                "attempt": scope[1],
                "series": several,
            }
            out.append(Cut(body, points=count[scope]))

    def _series(self, columns: _Columns) -> dict[str, Any]:
        name, where = columns.name, columns.where
        series: dict[str, Any] = {"name": name}
        if where[2]:
            series["labels"] = dict(where[2])
        if set(map(type, columns.values)) == {int}:
            series["integer"] = True
        series["steps"] = self._number((name, where[0], where[2]), columns.steps)
        series["times"] = [time // 1_000 for time in columns.times]
        series["values"] = columns.values
        return series

    def _number(self, key: Key, steps: list[Any]) -> list[int]:
        """Return the steps, numbering those that came without one from the largest before it."""
        try:
            top = max(steps)
            if min(steps) >= -INT64 and top <= INT64:
                last = self._last.get(key)
                self._last[key] = top if last is None or top > last else last
                return steps
        except TypeError:
            pass  # a None among them
        return [self._number_one(key, step) for step in steps]

    def _number_one(self, key: Key, step: int | None) -> int:
        last = self._last.get(key)
        if step is not None and not -INT64 <= step <= INT64:
            say_once("step-size", f"step {step!r:.40} is not a 64 bit integer: the next step of the series is used")
            step = None
        if step is None:
            step = 0 if last is None else min(last + 1, INT64)
        self._last[key] = step if last is None or step > last else last
        return step

    def _close_values(self, out: list[Cut | Marker]) -> None:
        scopes: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for seen in self._observations:
            where = seen.where
            value = {
                "name": seen.name,
                "labels": dict(where[2]),
                "step": self._number_one((seen.name, where[0], where[2]), seen.step),
                "time": seen.time,
                "value": seen.typed,
            }
            scopes.setdefault(where[:2], []).append(value)
        self._observations = []
        for scope, several in scopes.items():
            body = {
                "kind": "values",
                "time": several[-1]["time"],
                "step_name": scope[0],
                "attempt": scope[1],
                "values": several,
            }
            out.append(Cut(body, values=len(several)))


def split(values: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the entries of one large object in several small ones, in order, each below 256 KiB of JSON."""
    parts: list[dict[str, Any]] = [{}]
    room = MAX_BYTES
    for name, value in values.items():
        size = len(dumps({name: value}).encode())
        if size > room and parts[-1]:
            parts.append({})
            room = MAX_BYTES
        parts[-1][name] = value
        room -= size
    return parts
