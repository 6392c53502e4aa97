"""
The chart of one written series: a range of its points in a bounded number of buckets.

A short range is read whole, and each bucket has equally many points. Of a longer one the corners of pieces of chunks
are read, or the summaries of chunks and of groups of chunks, of the level that has at least one for each bucket. So the
cost depends on the buckets and not on the points. A range of fewer chunks than buckets, but of at least a quarter as
many, has one bucket for each chunk: to read pieces of so many takes too long. Only chunks through which the range cuts,
and points that are not yet in a full chunk, are read. A bucket of a long chart is a set of whole pieces or chunks:
exact in first, lowest, highest and last, and if several processes wrote the series at once, neighbouring buckets may
overlap in steps. Chunks that an earlier release wrote have no pieces: one bucket each in a range of more than
RAW_POINTS.

What takes more than a few milliseconds is computed in a thread: other requests are served meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from consumers.store.pool import PooledConnection
from consumers.store.read.charts.levels import (
    coarsest,
    every_row,
    full_chunks,
    level_for,
    pieces_for,
    read_chunks,
    read_pieces,
    read_rows,
    rows_for,
)
from consumers.store.read.charts.parts import Part, part_of
from consumers.store.read.charts.points import OrderedPoints, kind_of
from consumers.store.read.charts.summaries import ALL, Bucket, Odd, Sample, Summaries, Window, buckets_of
from consumers.store.read.charts.superseded import restarts_of
from consumers.store.rows import CHUNK_POINTS, LEVEL_FACTOR, PIECE_LEVELS
from consumers.store.statements import sql

RAW_POINTS = 120_000  # points of chunks without pieces are read in a range of at most so many
FEW_POINTS = 20_000  # a range of so many is read sooner than its summaries
MAX_CUT = 2_000  # chunks through which a range may cut: reading them takes about a second
IN_LOOP_POINTS = 5_000  # to hand fewer to a thread takes longer than to compute them

T = TypeVar("T")


class RangeTooScattered(ValueError):
    """The points of a range lie in too many chunks that have others, too."""

    def __init__(self) -> None:
        super().__init__(f"it cuts through more than {MAX_CUT:,} chunks of a series whose steps rise and fall")


class Chart(NamedTuple):
    """What stands for the points of a series in a range: all of them, or the corners of buckets."""

    in_range: int  # points
    samples: Sequence[Sample]  # by step and time
    odd: Sequence[Odd]  # of points, or buckets, that are not finite, in their order
    sizes: Sequence[int]  # points of each bucket; empty: `samples` are all points

    @property
    def is_exact(self) -> bool:
        """Whether `samples` are all points of the range."""
        return not self.sizes


NOTHING = Chart(0, (), (), ())


class Attempt(NamedTuple):
    """The points of one attempt that are wanted."""

    row: Any  # of the table series
    window: Window


async def long_chart(connection: PooledConnection, attempts: Sequence[Attempt], buckets: int) -> Chart:
    """Return the chart of the wanted points of these attempts together, however many. Raises RangeTooScattered."""
    found = [await _summaries(connection, attempt, buckets) for attempt in attempts]
    points, summaries = sum(sum(one.points) for one, _ in found), sum(len(one) for one, _ in found)
    if points <= read_whole(buckets):
        return await _whole(connection, attempts, found, buckets)
    if summaries * LEVEL_FACTOR < buckets:
        pieces, reads_rest = pieces_for(summaries, buckets), points <= RAW_POINTS
        found = [
            (one, cut) if not one.points else await _finer(connection, attempt, one, cut, pieces, reads_rest=reads_rest)
            for attempt, (one, cut) in zip(attempts, found, strict=True)
        ]
    parts = [await _parts(connection, attempt, cut) for attempt, (_, cut) in zip(attempts, found, strict=True)]
    return await in_thread(chart_of_summaries, [one for one, _ in found], parts, buckets)


def read_whole(buckets: int) -> int:
    """Return up to how many points a range is read whole for so many buckets: of more there are enough summaries."""
    return min(RAW_POINTS, max(FEW_POINTS, buckets * CHUNK_POINTS // PIECE_LEVELS[0]))


async def lowest_step(connection: PooledConnection, row: Any) -> int | None:
    """Return the lowest step of one attempt, None if it has no point."""
    lowest = await connection.fetchval(sql("lowest_open_step"), row["series_id"], row["month"], row["open_index"])
    chunks = full_chunks(row["open_index"])
    level = await _level(connection, row, chunks)
    if level < 0:
        first = await connection.fetchval(sql("lowest_open_step"), row["series_id"], row["month"], 0)
        return None if first is None else int(first)
    full = await _read(connection, Attempt(row, ALL), level)
    steps = [*full.min_steps, *([] if lowest is None else [lowest])]
    return min(steps) if steps else None


async def restarts(connection: PooledConnection, rows: Sequence[Any]) -> list[int | None]:
    """Return the step from which on each attempt is superseded, as `restarts_of` does; first attempt first."""
    if len(rows) == 1:
        return [None]
    return restarts_of([await lowest_step(connection, row) for row in rows])


async def in_thread(work: Callable[..., T], *values: Any) -> T:
    """Return what `work` returns for these values, without keeping the event loop busy."""
    return await asyncio.to_thread(work, *values)


async def _whole(
    connection: PooledConnection,
    attempts: Sequence[Attempt],
    found: Sequence[tuple[Summaries, list[int]]],
    buckets: int,
) -> Chart:
    rows = [
        await _chunks(connection, one, [*summaries.chunks, *((number, number + 1) for number in cut)])
        for one, (summaries, cut) in zip(attempts, found, strict=True)
    ]
    read = list(zip(attempts, rows, strict=True))
    if sum(row["points"] for some in rows for row in some) > IN_LOOP_POINTS:
        return await in_thread(short_chart, read, buckets)
    return short_chart(read, buckets)


def short_chart(read: Iterable[tuple[Attempt, Sequence[Any]]], buckets: int) -> Chart:
    """Return the chart of points that were read: of each attempt the packed chunks."""
    points = OrderedPoints([part_of(row, attempt.window) for attempt, rows in read for row in rows])
    if len(points) <= 4 * buckets:
        samples = points.samples()
        odd = [Odd(step, time, 1, kind) for step, time, value in samples if (kind := kind_of(value))]
        return Chart(len(samples), samples, odd, ())
    return Chart(len(points), *points.drawn(buckets))


def chart_of_summaries(summaries: Sequence[Summaries], parts: Sequence[Sequence[Part]], buckets: int) -> Chart:
    """Return the chart of points with these summaries, and of points that were read."""
    every = Summaries()
    for one in summaries:
        every.extend(one)
    pieces = [OrderedPoints([part]) for some in parts for part in some]  # of a chunk each: others may lie between them
    total = sum(every.points) + sum(map(len, pieces))
    for piece in pieces:
        for bucket in piece.buckets(-(-len(piece) * buckets // total)) if total else ():
            _add(every, bucket)
    return _of_buckets(buckets_of(every, buckets)) if total else NOTHING


def _of_buckets(buckets: Sequence[Bucket]) -> Chart:
    samples = sorted((sample for bucket in buckets for sample in bucket.samples()), key=itemgetter(0, 1))
    odd = [bucket.odd for bucket in buckets if bucket.odd is not None]
    sizes = [bucket.points for bucket in buckets]
    return Chart(sum(sizes), samples, odd, sizes)


def _add(to: Summaries, bucket: Bucket) -> None:
    low = bucket.low or Sample(0, 0, float("inf"))
    high = bucket.high or Sample(0, 0, float("-inf"))
    odd = bucket.odd or Odd(0, 0, 0, 0)
    values = (
        bucket.points, odd.points, bucket.first.step, bucket.last.step, 0, 0, bucket.first.time, bucket.first.value,
        *low, *high, bucket.last.time, bucket.last.value, odd.step, odd.time, odd.kinds, (0, 0),
    )  # fmt: skip
    for name, value in zip(Summaries.__dataclass_fields__, values, strict=True):
        getattr(to, name).append(value)


async def _summaries(connection: PooledConnection, attempt: Attempt, buckets: int) -> tuple[Summaries, list[int]]:
    """Return summaries of what lies wholly in the window, and the numbers of the full chunks through which it cuts."""
    chunks = full_chunks(attempt.row["open_index"])
    level = await _level(connection, attempt.row, chunks)
    if attempt.window == ALL:
        level = min(level, level_for(attempt.row["points"], buckets))
    while True:
        found = await _read(connection, attempt, level)
        if level <= 0 or len(found) >= buckets:
            break
        level = max(0, min(level - 1, level_for(sum(found.points), buckets)))
    return await _refined(connection, attempt, found)


async def _level(connection: PooledConnection, row: Any, chunks: int) -> int:
    """Return the highest level with rows of a series; -1: only its chunks can be read."""
    level = -1 if chunks <= RAW_POINTS // CHUNK_POINTS else coarsest(chunks)  # so few are read as soon as their groups
    if level >= 0 and await connection.fetchval(sql("count_chunk_groups"), row["series_id"]) != every_row(chunks):
        return -1  # workers of two releases wrote at once, and no row has the chunks of the older one
    return level


async def _refined(connection: PooledConnection, attempt: Attempt, found: Summaries) -> tuple[Summaries, list[int]]:
    """Replace groups of chunks through which the window cuts by their chunks."""
    holds = found.held_by(attempt.window)
    whole = found.chosen([at for at, is_whole in enumerate(holds) if is_whole])
    cut = [chunks for chunks, is_whole in zip(found.chunks, holds, strict=True) if not is_whole]
    if sum(end - first for first, end in cut) > MAX_CUT * LEVEL_FACTOR:
        raise RangeTooScattered
    numbers = list[int]()
    for first, end in cut:
        if end - first == 1:
            numbers.append(first)
            continue
        below = await _read(connection, attempt, -1, first, end)
        inside = below.held_by(attempt.window)
        whole.extend(below.chosen([at for at, is_whole in enumerate(inside) if is_whole]))
        numbers += [one for (one, _), is_whole in zip(below.chunks, inside, strict=True) if not is_whole]
    if len(numbers) > MAX_CUT:
        raise RangeTooScattered
    return whole, numbers


async def _finer(
    connection: PooledConnection,
    attempt: Attempt,
    found: Summaries,
    cut: list[int],
    pieces: int,
    *,
    reads_rest: bool,
) -> tuple[Summaries, list[int]]:
    """
    Replace summaries of single chunks by those of their pieces.

    A chunk that an earlier release wrote has none: with `reads_rest` its points will be read, otherwise its summary
    stays.
    """
    row, window = attempt
    places = {first: at for at, (first, end) in enumerate(found.chunks) if end - first == 1}
    if len(places) < len(found):
        return found, cut  # about one for each bucket
    rows = await fetch_pieces(connection, [(row, min(places), max(places) + 1, pieces, window)])
    read = [one for one in rows if one["steps"] is not None]
    whole = await in_thread(read_pieces, read, pieces)
    lacking = sorted(places.keys() - {full_chunks(one["first_index"]) for one in read})
    if reads_rest:
        return whole, [*cut, *lacking]
    whole.extend(found.chosen([places[number] for number in lacking]))
    return whole, cut


async def fetch_pieces(
    connection: PooledConnection, asked: Sequence[tuple[Any, int, int, int, Window]]
) -> Sequence[Any]:
    """
    Return rows of `get_pieces`, by series and number of the chunk.

    What is asked: of which attempt, from which full chunk to before which, in how many pieces, within which bounds.
    """
    columns = zip(
        *(
            (
                row["series_id"], row["month"], _first_index(first), _first_index(end),
                sum(PIECE_LEVELS[: PIECE_LEVELS.index(pieces)]), pieces, *window,
            )
            for row, first, end, pieces, window in asked
        ),
        strict=True,
    )  # fmt: skip
    found: Sequence[Any] = await connection.fetch(sql("get_pieces"), *map(list, columns), sum(PIECE_LEVELS))
    return found


async def _read(
    connection: PooledConnection, attempt: Attempt, level: int, first: int = 0, end: int | None = None
) -> Summaries:
    """Return the summaries of full chunks that may have wanted points, with `end` of those from `first` to there."""
    row, window = attempt
    chunks = full_chunks(row["open_index"]) if end is None else end
    rows, begin = rows_for(chunks, level) if end is None else ([], first)
    found = Summaries()
    if rows:
        levels, firsts, ends = map(list, zip(*rows, strict=True))
        groups = await connection.fetch(sql("get_chunk_groups"), row["series_id"], levels, firsts, ends, *window)
        found = await in_thread(read_rows, groups) if len(groups) > 1 else read_rows(groups)
    if begin < chunks:
        corners = await connection.fetch(
            sql("get_corners"), row["series_id"], row["month"], _first_index(begin), _first_index(chunks), *window
        )
        found.extend(read_chunks(corners))
    meets = found.met_by(window)
    return found if all(meets) else found.chosen([at for at, is_near in enumerate(meets) if is_near])


async def _parts(connection: PooledConnection, attempt: Attempt, numbers: Sequence[int]) -> list[Part]:
    """Return the wanted points of the full chunks with these numbers, and of those that are not full."""
    rows = await _chunks(connection, attempt, [(number, number + 1) for number in numbers])
    return [part_of(one, attempt.window) for one in rows]


async def _chunks(connection: PooledConnection, attempt: Attempt, numbers: Sequence[tuple[int, int]]) -> list[Any]:
    """Return, packed, the full chunks with numbers from one to before another, and those that are not full."""
    row, window = attempt
    firsts = [*(_first_index(first) for first, _ in numbers), row["open_index"]]
    ends = [*(_first_index(end) for _, end in numbers), 2**62]
    asked = [(row["series_id"], row["month"], *bounds, *window) for bounds in zip(firsts, ends, strict=True)]
    found: list[Any] = await connection.fetch(sql("get_chunks_of_many"), *map(list, zip(*asked, strict=True)))
    return found


def _first_index(number: int) -> int:
    """Return a number above which, or at which, the first point of this full chunk and of later ones is."""
    return CHUNK_POINTS * (number - 1) + 1
