"""
Histograms: how many of many values lie where. `emit("weights", gateway.histogram(layer.weight), step=i)`.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from itertools import pairwise

from gateway.client.guards import warn_lost
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

MAX_BINS = 4_096
MAX_DEPTH = 32  # of lists in lists


class Histogram:
    """Counts of n bins between n + 1 rising edges. A ready one is given as it is: `Histogram(counts, edges)`."""

    __slots__ = ("counts", "edges")

    def __init__(self, counts: Iterable[float], edges: Iterable[float]) -> None:
        self.counts = _floats(counts)
        self.edges = _floats(edges)

    def __repr__(self) -> str:
        return f"Histogram({self.counts!r}, {self.edges!r})"


def histogram(values: Any, bins: int = 64) -> Histogram:
    """
    Return the histogram of a list, numpy array or torch tensor of any shape, in `bins` equal bins (1 to 4,096).

    The last bin includes its upper edge. NaN and infinities are left out, which is said once. Without any value all
    counts are 0, between 0 and 1; values that are all the same lie in the middle of a range of width 1.
    Never raises: what is no numbers gives a histogram without counts.
    """
    try:
        number = min(max(int(bins), 1), MAX_BINS)
        return _of_array(values, number) or _of_list(list(_flat(values, 0)), number)
    except Exception as error:  # noqa: BLE001 -- a stranger's object failed while read: the histogram is empty, and counted
        warn_lost("histogram", "a histogram cannot be made and is empty", error)
        return Histogram([0.0], [0.0, 1.0])


def is_sound(one: Histogram) -> bool:
    """Return whether counts and edges fit each other."""
    edges = one.edges
    return (
        0 < len(one.counts) <= MAX_BINS
        and len(edges) == len(one.counts) + 1
        and all(map(math.isfinite, edges))
        and all(lower <= upper for lower, upper in pairwise(edges))
    )


def _of_array(values: Any, bins: int) -> Histogram | None:
    """Count with numpy where the values are a numpy array or a tensor, and so numpy is there to use; else None."""
    if hasattr(values, "detach"):  # a tensor may be on a GPU, need gradients, or be of a type numpy does not know
        values = values.detach().to("cpu").double().numpy()
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(values, numpy.ndarray):
        return None
    flat = numpy.asarray(values, dtype=numpy.float64).ravel()
    finite = flat[numpy.isfinite(flat)]
    if len(finite) < len(flat):
        _say_left_out(len(flat) - len(finite))
    if not len(finite):
        return _of_list([], bins)
    counts, edges = numpy.histogram(finite, bins=bins)
    return Histogram(counts.tolist(), edges.tolist())


def _of_list(values: list[float], bins: int) -> Histogram:
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < len(values):
        _say_left_out(len(values) - len(finite))
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    # Each edge by itself, and of the halves: high - low may be more than a float holds.
    edges = [low * (1 - part / bins) + high * (part / bins) for part in range(bins)] + [high]
    counts = [0] * bins
    for value in finite:
        counts[min(max(bisect_right(edges, value) - 1, 0), bins - 1)] += 1
    return Histogram(counts, edges)


def _say_left_out(count: int) -> None:
    warn_once("histogram-finite", f"{count:,} values of a histogram are not finite: they are left out")


def _flat(values: Any, depth: int) -> Iterator[float]:
    if depth > MAX_DEPTH:
        raise ValueError(f"lists in lists deeper than {MAX_DEPTH}")
    for value in values.tolist() if hasattr(values, "tolist") else values:
        if isinstance(value, list | tuple):
            yield from _flat(value, depth + 1)
        else:
            yield float(value)


def _floats(values: Iterable[float]) -> list[float]:
    try:
        found = values.tolist() if hasattr(values, "tolist") else values
        return [float(value) for value in found]
    except Exception as error:  # noqa: BLE001 -- a stranger's sequence failed while read: the histogram is empty, and counted
        warn_lost("histogram", "the counts or edges of a histogram cannot be read", error)
        return []
