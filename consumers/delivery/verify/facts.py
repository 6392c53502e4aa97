"""
What one place holds of one run, as facts that can be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import Struct
from typing import Any

from consumers.delivery.verify.equality import normal_text
from consumers.store.read.contents import StoredEdit
from consumers.trackers.fidelity import expected_points, keeps_all_points
from consumers.trackers.protocol import Capabilities
from schemas.facts import Facts, Point, SeriesColumns, SeriesFacts, count_columns, count_points
from schemas.point_sums import MODULUS
from schemas.values import Typed

PooledPoint = tuple[int, int, bytes]  # step, ms, bits of the value
ObservedValue = tuple[int | None, bytes | None]  # µs and digest; None: the place does not return it
_DOUBLE = Struct("<d")
_NAN = _DOUBLE.pack(float("nan"))


@dataclass
class RunFacts:
    """What one place holds of one run. None: the place does not report it."""

    run_id: str
    status: str = ""
    params: Mapping[str, Typed | str] = field(default_factory=dict)  # typed in PostgreSQL, text in a tracker
    series: dict[str, SeriesFacts] = field(default_factory=dict)
    started: int | None = None  # µs since 1970-01-01 UTC
    ended: int | None = None  # µs; only of a run that has ended
    tags: Mapping[str, str] | None = None
    counts_only: bool = False  # its points were dropped here: the number per series is known, the values are not
    missing: str = ""  # why the place does not have the run, or cannot be read for it
    is_unread: bool = False  # it cannot be read, so it may be there or missing
    altered: Mapping[str, int] = field(default_factory=dict)  # what a tracker shows differently, and how often
    name: str | None = None
    tag: str | None = None
    misplaced: str = ""  # where a tracker shows the run, if that is not where its tag says
    where: str = ""  # where a person finds the run
    note: str | None = None
    labels: Mapping[str, Typed | str] | None = None
    artifacts: Mapping[str, Any] | None = None  # references: rows in PostgreSQL, JSON text in a tracker
    observations: dict[tuple[str, int], list[ObservedValue]] | None = None  # by written series and step
    unheld: int = 0  # observations that the tracker counted as left out
    lifecycle_stage: str | None = None  # active, or deleted: in the trash
    lines: dict[str, tuple[int, int]] | None = None  # number and checksum, by stream
    edits: Sequence[StoredEdit] = ()  # only in PostgreSQL
    pool: Counter[PooledPoint] = field(default_factory=Counter)  # points of series that the log edits

    def add_points(self, points: Iterable[Point]) -> None:
        """Count points by series."""
        count_points(self.series, points)

    def add_columns(self, columns: Iterable[SeriesColumns]) -> None:
        """Count points by series."""
        count_columns(self.series, columns)

    def add_observation(self, series: str, step: int, time: int | None, text: str | None) -> None:
        """Count a value that is not a number."""
        digest = (
            None if text is None else blake2b(normal_text(text).encode(errors="surrogatepass"), digest_size=12).digest()
        )
        if self.observations is None:
            self.observations = {}
        self.observations.setdefault((series, step), []).append((time, digest))

    def add_line(self, stream: str, time: int, text: str) -> None:
        """Count a console line."""
        if self.lines is None:
            self.lines = {}
        count, checksum = self.lines.get(stream, (0, 0))
        digest = blake2b(f"{time}:{text}".encode(errors="surrogatepass"), digest_size=16).digest()
        self.lines[stream] = (count + 1, (checksum + int.from_bytes(digest, "little")) % MODULUS)

    def total(self) -> Facts:
        """Return the facts of the whole run; empty ones when the place does not have it."""
        if self.missing:
            return Facts()
        total = Facts(runs=1, params=len(self.params))
        for name, facts in self.series.items():
            total.add_series(self.run_id, name, facts)
        return total


def pooling(
    columns: Iterable[SeriesColumns], pool: Counter[PooledPoint], is_edited: Callable[[str], bool]
) -> Iterable[SeriesColumns]:
    """Yield the columns; count the points of edited series one by one in `pool`."""
    for one in columns:
        if is_edited(one.series):
            pool_points(pool, map(Point, (one.series,) * len(one.steps), one.steps, one.times_ms, one.values))
        yield one


def pool_points(pool: Counter[PooledPoint], points: Iterable[Point]) -> None:
    """Count points one by one; all NaNs are equal, and so are both zeros."""
    pool.update(
        (step, time, _DOUBLE.pack(value + 0.0) if value == value else _NAN)  # noqa: PLR0124  # NaN
        for _, step, time, value in points
    )


def kept_pool(pool: Counter[PooledPoint], can: Capabilities) -> Counter[PooledPoint]:
    """Return points as a tracker with these capabilities keeps them."""
    if keeps_all_points(can):
        return pool
    kept: Counter[PooledPoint] = Counter()
    points = (Point("", step, time, _DOUBLE.unpack(bits)[0]) for step, time, bits in sorted(pool.elements()))
    pool_points(kept, expected_points(points, can))
    return kept
