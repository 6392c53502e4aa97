"""
Which rows a chart of a long series reads, and what they hold.

Pure. Full chunks are numbered from 0. A row of level L has summaries of GROUP_CHUNKS groups of LEVEL_FACTOR ** L
consecutive chunks, and exists once the last of them is full. What is not yet in a row of a level is in rows of the
levels below it, and at last in the chunks themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from consumers.store.codec.array_format import floats_of, ints_of, shorts_of
from consumers.store.read.charts.summaries import Summaries
from consumers.store.rows import CHUNK_POINTS, GROUP_CHUNKS, LEVEL_FACTOR, PIECE_LEVELS

_FLOATS = {"first_values", "low_values", "high_values", "last_values"}
_STORED = [name for name in Summaries.__dataclass_fields__ if name != "chunks"]
N = TypeVar("N", int, float)
_ODD = ("odd_steps", "odd_times", "odd_kinds")


UNKNOWN = -(2**63) - 1  # lowest step of a chunk whose corners are not known: no window holds it, so its points are read


class Rows(NamedTuple):
    """Rows of one level: from number `first` to before number `end`."""

    level: int
    first: int
    end: int


def row_chunks(level: int) -> int:
    """Return how many chunks a row of a level has."""
    return GROUP_CHUNKS * int(LEVEL_FACTOR**level)


def full_chunks(open_index: int) -> int:
    """Return how many full chunks a series has whose first open point has this number."""
    return -(-open_index // CHUNK_POINTS)


def coarsest(chunks: int) -> int:
    """Return the highest level that has a row for so many chunks; -1: none has."""
    level = -1
    while row_chunks(level + 1) <= chunks:
        level += 1
    return level


def level_for(points: int, buckets: int) -> int:
    """Return the highest level that still has a summary for each of so many buckets; -1: not even the chunks have."""
    level = -1
    while points >= CHUNK_POINTS * LEVEL_FACTOR ** (level + 1) * buckets:
        level += 1
    return level


def pieces_for(chunks: int, buckets: int) -> int:
    """Return in how many pieces each of so many chunks is read, so that each bucket has one if there are enough."""
    return next((pieces for pieces in reversed(PIECE_LEVELS) if chunks * pieces >= buckets), PIECE_LEVELS[0])


def every_row(chunks: int) -> int:
    """Return how many rows of all levels so many full chunks have."""
    return sum(chunks // row_chunks(level) for level in range(coarsest(chunks) + 1))


def rows_for(chunks: int, level: int) -> tuple[list[Rows], int]:
    """Return the rows that have all full chunks, of this level where it has them; and the first chunk in no row."""
    found, begin = list[Rows](), 0
    for one in range(level, -1, -1):
        size = row_chunks(one)
        rows = Rows(one, begin // size, chunks // size)
        if rows.first < rows.end:
            found.append(rows)
            begin = rows.end * size
    return found, begin


def read_rows(rows: Sequence[Any]) -> Summaries:
    """Return the summaries of rows of `get_chunk_groups`."""
    found = Summaries()
    for name in _STORED:
        if name in _ODD:
            for row in rows:
                found.column(name).extend([0] * GROUP_CHUNKS if row[name] is None else ints_of([row[name]]))
        elif name in _FLOATS:
            setattr(found, name, floats_of([row[name] for row in rows]).tolist())
        else:
            setattr(found, name, ints_of([row[name] for row in rows]).tolist())
    for row in rows:
        size, begin = LEVEL_FACTOR ** row["level"], row["number"] * row_chunks(row["level"])
        found.chunks.extend((begin + at * size, begin + at * size + size) for at in range(GROUP_CHUNKS))
    return _without_nan(found)


def read_chunks(rows: Sequence[Any]) -> Summaries:
    """Return the summaries of rows of `get_corners`: full chunks."""
    found = Summaries()
    for row in rows:
        number, is_known = full_chunks(row["first_index"]), row["corners"] is not None
        # A worker of an earlier release may have written a chunk after a newer one had migrated the tables.
        places, ends, lowest = (
            (row["corners"], row["ends"], row["min_step"]) if is_known else ([0] * 6, (0.0, 0.0), UNKNOWN)
        )
        odd = places[6:9] or (0, 0, 0)
        low, high = (math.nan if row[name] is None else row[name] for name in ("min_value", "max_value"))
        values = (
            row["points"], row["non_finite"], lowest, row["max_step"], row["min_time"], row["max_time"],
            places[0], ends[0], *places[1:3], low, *places[3:5], high, places[5], ends[1], *odd,
            (number, number + 1),
        )  # fmt: skip
        for name, value in zip(Summaries.__dataclass_fields__, values, strict=True):
            getattr(found, name).append(value)
    return _without_nan(found)


def read_pieces(rows: Sequence[Any], pieces: int) -> Summaries:
    """Return the summaries of rows of `get_pieces` that have them, of so many pieces each."""
    found = Summaries()
    for is_odd, some in groupby(rows, key=lambda row: row["non_finite"] > 0):
        found.extend(_pieces(list(some), pieces, is_odd=is_odd))
    return found


def _pieces(rows: Sequence[Any], pieces: int, *, is_odd: bool) -> Summaries:
    corners = 4 * pieces
    steps, times = (ints_of([row[name] for row in rows]).tolist() for name in ("steps", "times"))
    values = floats_of([row["point_values"] for row in rows]).tolist()
    odd_steps, odd_times, counts, kinds = ([0] * (len(rows) * pieces) for _ in range(4))
    if is_odd:
        parts = range(0, len(steps), corners + pieces)  # one of each row: its corners, then the points that are odd
        odd_steps, odd_times = (_joined(column, parts, corners, corners + pieces) for column in (steps, times))
        steps, times, values = (_joined(column, parts, 0, corners) for column in (steps, times, values))
        numbers = [shorts_of(row["odd"]).tolist() for row in rows]
        counts, kinds = (
            [one for some in numbers for one in some[half]] for half in (slice(pieces), slice(pieces, None))
        )
    sizes = [size for row in rows for size in _sizes(row["points"], pieces)]
    chunks = [full_chunks(row["first_index"]) for row in rows for _ in range(pieces)]
    lows, highs = values[1::4], values[2::4]
    if is_odd:
        none = [size == count for size, count in zip(sizes, counts, strict=True)]
        lows = [math.inf if is_none else value for value, is_none in zip(lows, none, strict=True)]
        highs = [-math.inf if is_none else value for value, is_none in zip(highs, none, strict=True)]
    return Summaries(
        sizes, counts, steps[0::4], steps[3::4],
        [row["min_time"] for row in rows for _ in range(pieces)],
        [row["max_time"] for row in rows for _ in range(pieces)],
        times[0::4], values[0::4], steps[1::4], times[1::4], lows, steps[2::4], times[2::4], highs,
        times[3::4], values[3::4], odd_steps, odd_times, kinds, [(number, number + 1) for number in chunks],
    )  # fmt: skip


def _joined(column: list[N], parts: Iterable[int], begin: int, end: int) -> list[N]:
    return [one for at in parts for one in column[at + begin : at + end]]


@cache
def _sizes(points: int, pieces: int) -> list[int]:
    """Return how many points the pieces of a chunk with so many points have, as materialiser/fold/pieces.py cuts it."""
    return [(at + 1) * points // pieces - at * points // pieces for at in range(pieces)]


def _without_nan(found: Summaries) -> Summaries:
    """Give summaries without a finite value a lowest and a highest one that never count."""
    if any(found.non_finite):
        found.low_values = [math.inf if math.isnan(one) else one for one in found.low_values]
        found.high_values = [-math.inf if math.isnan(one) else one for one in found.high_values]
    return found
