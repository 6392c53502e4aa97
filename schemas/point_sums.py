"""
Order-independent checksum of the points of a series: hashes of 128 bits, added modulo 2**128.

Each point (step, time in ms, value) is hashed, and the hashes are added. A sum needs no memory, can be computed in
parts and by several processes, and, unlike XOR, detects a point that occurs twice. It protects against loss and
mistakes, not against a deliberate collision.

Many points are hashed at once without numpy, which a training process or a delivery may not have: a block of points is
one large integer with a lane of 256 bits per point. Multiplying it by a 128-bit number multiplies every lane, because
no product leaves its lane. That takes 0.3 µs per point; hashlib takes 1.3. Sorting the points and hashing all of them
at once takes as long, but needs them in memory and cannot be done in parts. Python's own `hash` takes 0.1 and was
rejected: it gives -1 and -2 the same hash, and may change with a release.

    x = (value << 64 | step) ^ START            the two 64-bit words of a lane
    x = fold(x * A), x ^= time, x = fold(x * B), x = fold(x * C)
    fold(x) = x ^ x >> 64, on the low 128 bits; START, A, B, C are BLAKE2b-128 of their names, A, B, C made odd
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

MODULUS = 1 << 128
NAN = float("nan")
_BLOCK = 1_024  # points hashed at once: integers of 32 KiB stay in the processor's cache
_LANE = 256  # bits
_WORDS = _LANE // 64


def _constant(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=16).digest(), "little")


_A, _B, _C = (_constant(name) | 1 for name in "ABC")
_LOW = int.from_bytes((b"\xff" * 16 + bytes(16)) * _BLOCK, "little")  # the low half of every lane
_START = int.from_bytes((_constant("START").to_bytes(32, "little")) * _BLOCK, "little")


def sum_of_points(steps: Sequence[int], times_ms: Sequence[int], values: Sequence[float]) -> int:
    """
    Return the checksum of points of one series; steps and times must fit in 64 bits.

    Values count by their 64 bits, but all NaNs are equal and so are both zeros: SQLite, in which many MLflow servers
    keep their rows, has no negative zero.
    """
    if len(steps) <= _BLOCK:
        return _sum_of_block(_integers(steps), _integers(times_ms), _bits(values)) % MODULUS
    return (
        sum(
            sum_of_points(steps[at : at + _BLOCK], times_ms[at : at + _BLOCK], values[at : at + _BLOCK])
            for at in range(0, len(steps), _BLOCK)
        )
        % MODULUS
    )


@lru_cache(4_096)
def weight(run_id: str, series: str) -> int:
    """Return the odd number by which the checksum of this series is multiplied in a total checksum."""
    return _constant(f"{len(run_id)}:{run_id}{series}") | 1


def _integers(column: Sequence[int]) -> array[int]:
    return column if isinstance(column, array) and column.typecode == "q" else array("q", column)


def _bits(values: Sequence[float]) -> array[int]:
    """Return the bits of values, with one NaN for every NaN and one zero for both."""
    column = values if isinstance(values, array) and values.typecode == "d" else array("d", values)
    if 0.0 in column or not math.isfinite(sum(column)):  # true of NaN, and of little else
        column = array("d", [one + 0.0 if one == one else NAN for one in column])  # noqa: PLR0124  # NaN
    return array("q", column.tobytes())


def _sum_of_block(steps: array[int], times_ms: array[int], values: array[int]) -> int:
    count = len(steps)
    spare = _LANE * (_BLOCK - count)
    low = _LOW >> spare
    x = (_lanes(steps, values) ^ _START >> spare) * _A & low
    x = (x ^ x >> 64) & low ^ _lanes(times_ms, None)
    x = x * _B & low
    x = (x ^ x >> 64) & low
    x = x * _C & low
    x = (x ^ x >> 64) & low
    while count > 1:  # add the upper half of the lanes to the lower half
        count = (count + 1) // 2
        upper = x >> _LANE * count
        x = (x ^ upper << _LANE * count) + upper
    return x


def _lanes(first: array[int], second: array[int] | None) -> int:
    words = array("q", bytes(8 * _WORDS * len(first)))
    words[0::_WORDS] = first
    if second is not None:
        words[1::_WORDS] = second
    if sys.byteorder == "big":
        words.byteswap()
    return int.from_bytes(words.tobytes(), "little")
