"""
Statistics of a series over the runs of a group, by step.

Pure. The steps of a series over all runs are cut into buckets of equal width, at most as many as are asked for; if
there are fewer steps than that, each step is a bucket. The value of a run in a bucket is its last finite one there, by
step, so that a mean is one of values that runs had at about the same step.

The 95 % confidence band of n runs is mean ± t s / sqrt(n): s is the standard deviation of the sample, and t the 0.975
quantile of Student's distribution with n - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from consumers.store.read.charts.summaries import Sample

# 0.975 quantiles of Student's t with 1 to 30 degrees of freedom, as in every table of them.
_T975 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
_Z975 = 1.959963985


class Statistics(NamedTuple):
    """What runs have in one bucket."""

    runs: int  # with a value there
    mean: float
    median: float
    std: float | None  # None: of one run
    stderr: float | None
    min: float
    max: float
    ci95_low: float | None
    ci95_high: float | None


def t975(freedom: int) -> float:
    """
    Return the 0.975 quantile of Student's t with this many degrees of freedom.

    Above 30 it is the expansion around the normal quantile z of Abramowitz and Stegun, 26.7.5: z + (z^3 + z) / 4n +
    (5 z^5 + 16 z^3 + 3 z) / 96 n^2 + (3 z^7 + 19 z^5 + 17 z^3 - 15 z) / 384 n^3, right to five digits there.
    """
    if freedom <= len(_T975):
        return _T975[freedom - 1]
    z = _Z975
    second, third = 5 * z**5 + 16 * z**3 + 3 * z, 3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z
    return z + (z**3 + z) / (4 * freedom) + second / (96 * freedom**2) + third / (384 * freedom**3)


def statistics_of(values: Sequence[float]) -> Statistics:
    """Return the statistics of finite values, at least one."""
    count = len(values)
    low, high = min(values), max(values)
    mean = min(max(math.fsum(value / count for value in values), low), high)
    if count == 1:
        return Statistics(1, mean, mean, None, None, low, high, None, None)
    scale = max(abs(low - mean), abs(high - mean)) or 1.0  # squares of large differences would be infinite
    std = scale * math.sqrt(math.fsum(((value - mean) / scale) ** 2 for value in values) / (count - 1))
    stderr = std / math.sqrt(count)
    margin = t975(count - 1) * stderr
    return Statistics(count, mean, _median(values), std, stderr, low, high, mean - margin, mean + margin)


def _median(values: Sequence[float]) -> float:
    middle = median(values)
    if math.isfinite(middle):
        return middle
    return 2 * median(value / 2 for value in values)  # the sum of both in the middle is larger than any float64


class StepBuckets:
    """The last finite value of each run in each bucket of steps."""

    def __init__(self, first: int, last: int, buckets: int) -> None:
        """Buckets for steps from `first` to `last`."""
        self._first, self._width = first, -(-(last - first + 1) // buckets)
        self._steps: dict[int, int] = {}  # highest step at which a run has a value, by bucket
        self._values: dict[int, list[float]] = {}

    def add(self, samples: Iterable[Sample]) -> None:
        """Add the points of one run, by step."""
        last: dict[int, Sample] = {}
        for sample in samples:
            if math.isfinite(sample.value):
                last[(sample.step - self._first) // self._width] = sample
        for bucket, sample in last.items():
            self._values.setdefault(bucket, []).append(sample.value)
            self._steps[bucket] = max(sample.step, self._steps.get(bucket, sample.step))

    def statistics(self) -> list[tuple[int, Statistics]]:
        """Return the statistics of each bucket in which a run has a value, with its last step."""
        return [(self._steps[bucket], statistics_of(self._values[bucket])) for bucket in sorted(self._values)]
