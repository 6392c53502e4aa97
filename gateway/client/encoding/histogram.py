"""
Histograms of many values: `emit("weights", gateway.histogram(layer.weight), step=i)`.
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
    """Counts of n bins between n + 1 rising edges. Use `Histogram(counts, edges)` for counts that exist already."""

    __slots__ = ("counts", "edges")

    def __init__(self, counts: Iterable[float], edges: Iterable[float]) -> None:
        self.counts = _floats(counts)
        self.edges = _floats(edges)

    def __repr__(self) -> str:
        return f"Histogram({self.counts!r}, {self.edges!r})"


def histogram(values: Any, bins: int = 64) -> Histogram:
    """
    Return the histogram of a list, numpy array or torch tensor of any shape, in `bins` equal bins (1 to 4,096).

    The last bin includes its upper edge. NaN and infinities are left out, with one warning. Without values, all counts
    are 0, between edges 0 and 1. Equal values lie in the middle of a range of width 1.
    Never raises: values that are not numbers give an empty histogram.
    """
    try:
        number = min(max(int(bins), 1), MAX_BINS)
        return _of_array(values, number) or _of_list(list(_flat(values, 0)), number)
    except Exception as error:  # noqa: BLE001 -- the caller's object failed while read: the histogram is empty, and counted
        warn_lost("histogram", "a histogram cannot be made and is empty", error)
        return Histogram([0.0], [0.0, 1.0])


def is_sound(one: Histogram) -> bool:
    """Return whether the counts and edges fit together."""
    edges = one.edges
    return (
        0 < len(one.counts) <= MAX_BINS
        and len(edges) == len(one.counts) + 1
        and all(map(math.isfinite, edges))
        and all(lower <= upper for lower, upper in pairwise(edges))
    )


def _of_array(values: Any, bins: int) -> Histogram | None:
    """Return the histogram of a numpy array or tensor, for which numpy is already imported; otherwise None."""
    if hasattr(values, "detach"):  # a tensor may be on a GPU, need gradients, or have a type that numpy does not know
        values = values.detach().to("cpu").double().numpy()
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(values, numpy.ndarray):
        return None
    if hasattr(values, "compressed"):
        values = values.compressed()  # of a masked array: the numbers under the mask are no values
    flat = numpy.asarray(values, dtype=numpy.float64).ravel()
    finite = flat[numpy.isfinite(flat)]
    if len(finite) < len(flat):
        _warn_left_out(len(flat) - len(finite))
    if not len(finite):
        return _of_list([], bins)
    if not math.isfinite(float(finite.max()) - float(finite.min())):
        return _of_list(finite.tolist(), bins)  # numpy's edges would be NaN
    try:
        counts, edges = numpy.histogram(finite, bins=bins)
    except ValueError:  # between the lowest and the highest value are fewer floats than bins
        return _of_list(finite.tolist(), bins)
    return Histogram(counts.tolist(), edges.tolist())


def _of_list(values: list[float], bins: int) -> Histogram:
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < len(values):
        _warn_left_out(len(values) - len(finite))
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    # Each edge is the sum of two weighted ends: high - low may exceed the range of a float.
    edges = [low * (1 - part / bins) + high * (part / bins) for part in range(bins)] + [high]
    counts = [0] * bins
    for value in finite:
        counts[min(max(bisect_right(edges, value) - 1, 0), bins - 1)] += 1
    return Histogram(counts, edges)


def _warn_left_out(count: int) -> None:
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
    except Exception as error:  # noqa: BLE001 -- the caller's sequence failed while read: the histogram is empty, and counted
        warn_lost("histogram", "the counts or edges of a histogram cannot be read", error)
        return []
