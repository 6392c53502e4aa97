"""
Where the corners of a full chunk lie: its first, lowest, highest and last point, and its first one that is not finite.

Pure. With them a chart of a long series shows each corner at its true step and time without reading the points. First
and last are those by step, then time, then order in the log, because a chart has its points in that order. Of equal
values the one that was recorded first counts.
"""

from __future__ import annotations

import math
from array import array
from struct import Struct

from consumers.store.rows import ChunkRow
from schemas.columns import FloatArray, IntArray

_FLOAT = Struct("d")
NAN, INFINITY, NEGATIVE_INFINITY = 1, 2, 4  # kinds of values that are not finite, as bits


def corners_of(chunk: ChunkRow, *, ends_repeat: bool) -> tuple[IntArray, FloatArray]:
    """
    Return the places of the corners, and the first and the last value.

    `ends_repeat`: several points may have the lowest step, or the highest: to look takes as long as everything else.

    The places are the time of the first point, step and time of the lowest, step and time of the highest, and the time
    of the last; steps of the first and the last are the bounds of the chunk. If some value is not finite, step and time
    of the first such value follow, and the kinds of them all. A chunk without a finite value has its first point as
    lowest and highest.
    """
    steps, times, values = chunk.steps, chunk.times, chunk.point_values
    if not ends_repeat:
        begin = steps.index(chunk.min_step)
        end = len(steps) - 1 if steps[-1] == chunk.max_step else steps.index(chunk.max_step)
    else:
        begin = min(range(len(steps)), key=lambda at: (steps[at], times[at], at))
        end = max(range(len(steps)), key=lambda at: (steps[at], times[at], at))
    low = high = begin
    if chunk.min_value is not None and chunk.max_value is not None:
        packed = values.tobytes()
        low, high = (_place(values, packed, bound) for bound in (chunk.min_value, chunk.max_value))
    places = [times[begin], steps[low], times[low], steps[high], times[high], times[end]]
    if chunk.non_finite:
        odd = [at for at, value in enumerate(values) if not math.isfinite(value)]
        kinds = 0
        for at in odd:
            kinds |= kind_of(values[at])
        places += [steps[odd[0]], times[odd[0]], kinds]
    return array("q", places), array("d", [values[begin], values[end]])


def kind_of(value: float) -> int:
    """Return the kind of a value that is not finite; 0 for one that is."""
    if math.isfinite(value):
        return 0
    return NAN if math.isnan(value) else INFINITY if value > 0 else NEGATIVE_INFINITY


def _place(values: FloatArray, packed: bytes, wanted: float) -> int:
    """Return the place of the first of these values that equals a finite one; `packed` has their bytes."""
    if wanted == 0:  # as -0.0 does, which has other bytes
        return values.index(wanted)
    key, at = _FLOAT.pack(wanted), -1
    while (at := packed.index(key, at + 1)) % _FLOAT.size:  # these bytes may also lie across two values
        pass
    return at // _FLOAT.size
