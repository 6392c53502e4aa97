"""
Where the corners of pieces of a full chunk lie: with them charts of a hundred thousand points need not read them all.

Pure. By step, then time, then order in the log, the points of a chunk are cut into 16 pieces of about equal size, and
two neighbours are one of 8 larger pieces. Of each piece four numbers of points are kept,
in the order of PIECE_LEVELS: of its first, its lowest, its highest and its last point (low and high are of finite
values; its first point, if it has none). If a value of the chunk is not finite, then follow the number of the first
such point of each piece (its first point, if it has none), how many each has, and their kinds, as in corners.py.
Numbers of points count from 1 in the order of the log, as PostgreSQL counts the values of an array.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from consumers.materialiser.fold.corners import kind_of
from consumers.store.rows import PIECE_LEVELS
from schemas.columns import IntArray


def pieces_of(values: Sequence[float], order: Sequence[int] | None, *, is_finite: bool) -> array[int]:
    """
    Return the numbers of the corners of the pieces of a chunk, which has at least as many points as pieces.

    `order`: what `order_of` returns. `is_finite`: all values are.
    """
    if order is not None:
        values = values[::-1] if isinstance(order, range) else [values[at] for at in order]
    bounds, numbers = _layout(len(values))
    lows = highs = values
    if not is_finite:
        lows = [value if math.isfinite(value) else math.inf for value in values]
        highs = [value if math.isfinite(value) else -math.inf for value in values]
    found = numbers[:]
    for corner, column, pick in ((1, lows, min), (2, highs, max)):
        parts = [column[first:end] for first, end in bounds]
        extremes = list(map(pick, parts))
        places = [first + part.index(one) for (first, _), part, one in zip(bounds, parts, extremes, strict=True)]
        found[corner::4] = array("h", [at + 1 for at in _coarser(places, column, is_low=pick is min)])
    if not is_finite:
        found += _odd_pieces(values, bounds)
    if order is None:
        return found
    points = (4 if is_finite else 5) * sum(PIECE_LEVELS)
    return array("h", [order[at - 1] + 1 for at in found[:points]]) + found[points:]


def extremes_of(values: Sequence[float], pieces: array[int]) -> tuple[float, float]:
    """Return the lowest and the highest of values, all finite, of which these are the pieces."""
    numbers = pieces[: 4 * PIECE_LEVELS[0]]
    low, high = ([values[number - 1] for number in numbers[corner::4]] for corner in (1, 2))
    return min(low), max(high)


def order_of(steps: list[int], in_order: list[int], times: IntArray, *, times_rise: bool) -> Sequence[int] | None:
    """
    Return the places of points by step, then time, then place; None if they have this order.

    `in_order`: the steps, sorted.
    """
    if steps == in_order and (times_rise or len(set(steps)) == len(steps)):
        return None
    if steps[::-1] == in_order and len(set(steps)) == len(steps):
        return range(len(steps) - 1, -1, -1)
    places: Sequence[int] = range(len(steps))
    if not times_rise:
        places = sorted(places, key=times.__getitem__)
    return sorted(places, key=steps.__getitem__)


@lru_cache(maxsize=2_000)
def _layout(points: int) -> tuple[list[tuple[int, int]], array[int]]:
    """Return the bounds of the finest pieces of so many points, and the result with first and last numbers only."""
    numbers = array("h", [0]) * (4 * sum(PIECE_LEVELS))
    firsts, lasts = list[int](), list[int]()
    for pieces in PIECE_LEVELS:
        firsts += [at * points // pieces + 1 for at in range(pieces)]
        lasts += [(at + 1) * points // pieces for at in range(pieces)]
    numbers[0::4], numbers[3::4] = array("h", firsts), array("h", lasts)
    finest = PIECE_LEVELS[0]
    return [(at * points // finest, (at + 1) * points // finest) for at in range(finest)], numbers


def _coarser(places: list[int], values: Sequence[float], *, is_low: bool) -> list[int]:
    """Return these places of extremes of the finest pieces, and those of the coarser ones after them."""
    found = places
    while len(places) > PIECE_LEVELS[-1]:
        pairs = zip(places[::2], places[1::2], strict=True)
        if is_low:
            places = [one if values[one] <= values[two] else two for one, two in pairs]
        else:
            places = [one if values[one] >= values[two] else two for one, two in pairs]
        found = found + places
    return found


def _odd_pieces(values: Sequence[float], bounds: Sequence[tuple[int, int]]) -> array[int]:
    """Return, of the pieces of each level, first values that are not finite, how many there are, and their kinds."""
    odd = [at for at, value in enumerate(values) if not math.isfinite(value)]
    kinds = [kind_of(values[at]) for at in odd]
    firsts, counts, every = array("h"), array("h"), array("h")
    for pieces in PIECE_LEVELS:
        width = len(bounds) // pieces
        for at in range(0, len(bounds), width):
            first = bounds[at][0]
            begin, end = bisect_left(odd, first), bisect_left(odd, bounds[at + width - 1][1])
            firsts.append((odd[begin] if begin < end else first) + 1)
            counts.append(end - begin)
            every.append(sum(set(kinds[begin:end])))  # each kind is a bit of its own
    return firsts + counts + every
