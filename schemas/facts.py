"""
Comparable totals of a store or tracker: runs, points, parameters and one checksum.

A series has a number of points, the first and the last of them, and a checksum (point_sums.py). The total checksum is
the sum modulo 2**128 of the checksums of all series, each multiplied by a number derived from run and name. Sums do not
depend on order, and counts of several processes can be added. Times are in milliseconds, because MLflow stores no finer
times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.point_sums import MODULUS, sum_of_points, weight

_BUFFERED = 65_536  # points collected before they are counted
_ONE_SERIES = 1_024


class Point(NamedTuple):
    """One metric point, in a form that every tracker can hold."""

    series: str  # written name, see schemas/names.py
    step: int
    time_ms: int  # since 1970-01-01 UTC
    value: float


class SeriesColumns(NamedTuple):
    """Points of one series, in columns of the same length."""

    series: str
    steps: Sequence[int]
    times_ms: Sequence[int]
    values: Sequence[float]
    times_us: Sequence[int] | None = None  # the same times, exactly; None: no place holds them finer than `times_ms`


@dataclass
class SeriesFacts:
    """Totals of one series of one run. Equal if number and checksum of the points are equal."""

    points: int = 0
    checksum: int = 0  # below 2**128
    exact: int | None = field(default=0, compare=False)  # the same with times in µs; None: these are not known
    first: tuple[int, int] | None = field(default=None, compare=False)  # the lowest (step, ms)
    last: tuple[int, int] | None = field(default=None, compare=False)  # the highest (step, ms)

    @property
    def hexadecimal(self) -> str:
        """The checksum as 32 hex digits."""
        return f"{self.checksum:032x}"

    def add(
        self,
        steps: Sequence[int],
        times_ms: Sequence[int],
        values: Sequence[float],
        times_us: Sequence[int] | None = None,
    ) -> None:
        """Count points, given in columns of the same length."""
        if not len(steps):
            return
        exact = None if times_us is None else sum_of_points(steps, times_us, values)
        self.merge(
            SeriesFacts(
                len(steps), sum_of_points(steps, times_ms, values), exact, _edge(min, steps, times_ms),
                _edge(max, steps, times_ms),
            )
        )  # fmt: skip

    def merge(self, other: SeriesFacts) -> None:
        """Add totals that were counted elsewhere."""
        self.points += other.points
        self.checksum = (self.checksum + other.checksum) % MODULUS
        known = self.exact is not None and other.exact is not None
        self.exact = ((self.exact or 0) + (other.exact or 0)) % MODULUS if known else None
        self.first = min((one for one in (self.first, other.first) if one is not None), default=None)
        self.last = max((one for one in (self.last, other.last) if one is not None), default=None)


def count_points(series: dict[str, SeriesFacts], points: Iterable[Point]) -> None:
    """Count single points into the totals of their series."""
    collected: dict[str, list[Point]] = {}
    waiting = 0
    for point in points:
        of_series = collected.setdefault(point.series, [])
        of_series.append(point)
        waiting += 1
        if len(of_series) >= _ONE_SERIES:
            waiting -= len(of_series)
            _count(series, {point.series: of_series})
        elif waiting >= _BUFFERED:
            _count(series, collected)
            waiting = 0
    _count(series, collected)


def count_columns(series: dict[str, SeriesFacts], columns: Iterable[SeriesColumns]) -> None:
    """Count columns of points into the totals of their series."""
    for name, steps, times_ms, values, times_us in columns:
        series.setdefault(name, SeriesFacts()).add(steps, times_ms, values, times_us)


def exact_columns(points: Iterable[tuple[str, int, int, float]]) -> Iterator[SeriesColumns]:
    """Yield points (series, step, µs, value) as columns, with a bounded number of points in memory."""
    collected: dict[str, list[tuple[int, int, float]]] = {}
    waiting = 0
    for series, step, time, value in points:
        collected.setdefault(series, []).append((step, time, value))
        waiting += 1
        if waiting >= _BUFFERED:
            yield from _columns(collected)
            collected, waiting = {}, 0
    yield from _columns(collected)


@dataclass
class Facts:
    """Running totals of a store or tracker. Add runs, compare with `==`."""

    runs: int = 0
    points: int = 0
    params: int = 0
    _sum: int = field(default=0, repr=False)

    @property
    def checksum(self) -> str:
        """Checksum of all points added: 32 hex digits."""
        return f"{self._sum:032x}"

    def add_run(self, run_id: str, points: Iterable[Point], params: int) -> None:
        """Count one run with its points and its number of parameters."""
        self.runs += 1
        self.params += params
        found: dict[str, SeriesFacts] = {}
        count_points(found, points)
        for name, facts in found.items():
            self.add_series(run_id, name, facts)

    def add_point(self, run_id: str, point: Point) -> None:
        """Count one point of a run that is already counted."""
        one = SeriesFacts(1, sum_of_points((point.step,), (point.time_ms,), (point.value,)))
        self.add_series(run_id, point.series, one)

    def add_series(self, run_id: str, name: str, facts: SeriesFacts) -> None:
        """Count points of one series of a run that is already counted."""
        self.points += facts.points
        self._sum = (self._sum + weight(run_id, name) * facts.checksum) % MODULUS

    def add(self, other: Facts) -> None:
        """Add totals of another store, tracker or process."""
        self.runs += other.runs
        self.points += other.points
        self.params += other.params
        self._sum = (self._sum + other._sum) % MODULUS

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Facts:
        """Return the totals that `to_json` made."""
        return cls(facts["runs"], facts["points"], facts["params"], int(facts["checksum"], 16))

    def to_json(self) -> dict[str, int | str]:
        """Return the totals as `--json` prints them."""
        return {"runs": self.runs, "points": self.points, "params": self.params, "checksum": self.checksum}


def _count(series: dict[str, SeriesFacts], collected: Mapping[str, list[Point]]) -> None:
    for name, points in collected.items():
        if points:
            _, steps, times_ms, values = zip(*points, strict=True)
            series.setdefault(name, SeriesFacts()).add(steps, times_ms, values)
            points.clear()


def _columns(collected: Mapping[str, Sequence[tuple[int, int, float]]]) -> Iterator[SeriesColumns]:
    for name, points in collected.items():
        steps, times, values = zip(*points, strict=True)
        yield SeriesColumns(name, steps, [time // 1_000 for time in times], values, times)


def _edge(best: Any, steps: Sequence[int], times_ms: Sequence[int]) -> tuple[int, int]:
    """Return the lowest or highest (step, ms), without a pair per point while few points share the step."""
    step = best(steps)
    if steps.count(step) == 1:
        return step, times_ms[steps.index(step)]
    return step, best(time for one, time in zip(steps, times_ms, strict=True) if one == step)
