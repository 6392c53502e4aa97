"""
What is wrong with a series: values that are not finite, spikes, plateaus, a rise after the best value, no news.

Pure: points and the present time come in, findings go out. Every finding names the rule that found it and the numbers
it rests on, so that a reader can disagree. Rules are about values in the order of their steps; of a series that is
given as first, lowest, highest and last of buckets, medians lean to the extremes, and the caller says so.

Spikes use the modified z-score of Iglewicz and Hoaglin (1993), 0.6745 (x - median) / MAD, of each value against the
values before it; their bound of 3.5 is for samples without a trend, so ours is higher.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any, Literal, NamedTuple

Kind = Literal["nan", "spike", "plateau", "rise", "stall"]

WINDOW = 25  # values before a value, against which it is a spike or none
FEWEST = 20  # values, fewer say nothing about plateaus and spikes
SPIKE_Z = 12.0
MAX_SPIKES = 10  # findings of one series; the most extreme ones, and each says how many there are
PLATEAU_SHARE = 0.01  # of the range of the series: a smaller change is none
PLATEAU_TAIL = 0.25  # of the values, at least, must be flat
RISE_SHARE = 0.25  # of the range, above the best median
STALL_INTERVALS = 10.0  # median intervals without a point
STALL_S = 60.0  # and at least so long


class Points(NamedTuple):
    """A series: steps, times (µs) and values by step, and how many values that are not finite it has in all."""

    name: str
    steps: Sequence[int]
    times: Sequence[int]
    values: Sequence[float]
    non_finite: int = 0
    first_non_finite: int | None = None  # its step, where the points do not show it


class Finding(NamedTuple):
    """One thing that is wrong. `evidence` has the numbers that the rule compared."""

    kind: Kind
    series: str
    step: int | None
    value: float | None
    text: str
    evidence: dict[str, Any]


def diagnose(points: Points, *, now: int, is_running: bool, goal: Literal["min", "max", ""] = "") -> list[Finding]:
    """
    Return what is wrong with a series, the gravest first.

    `now` is µs. `goal` says in which direction it should move; without one, `rise` is looked for in series that are
    called loss, error or perplexity.
    """
    at = [number for number, value in enumerate(points.values) if math.isfinite(value)]
    steps, values = [points.steps[one] for one in at], [points.values[one] for one in at]
    found = _non_finite(points)
    found += _stall(points, now) if is_running else []
    if len(values) >= FEWEST:
        found += _rise(points.name, steps, values, goal or _usual_goal(points.name))
        found += _spikes(points.name, steps, values)
        found += _plateau(points.name, steps, values)
    return found


def _usual_goal(name: str) -> Literal["min", "max", ""]:
    text = name.lower()
    return "min" if any(word in text for word in ("loss", "error", "perplexity")) else ""


def _non_finite(points: Points) -> list[Finding]:
    count = max(points.non_finite, sum(not math.isfinite(value) for value in points.values))
    if not count:
        return []
    shown = next(
        (step for step, value in zip(points.steps, points.values, strict=True) if not math.isfinite(value)), None
    )
    step = points.first_non_finite if points.first_non_finite is not None else shown
    where = "" if step is None else f", first at step {step}"
    return [Finding("nan", points.name, step, None, f"{count:,} values are NaN or infinite{where}", {"count": count})]


def _stall(points: Points, now: int) -> list[Finding]:
    if len(points.times) < 3:
        return []
    times = sorted(points.times)
    interval = median(later - earlier for earlier, later in pairwise(times)) / 1e6
    silent = (now - times[-1]) / 1e6
    if silent < STALL_S or silent < STALL_INTERVALS * interval:
        return []
    text = f"no point for {silent:,.0f} s, and one came every {interval:,.3g} s before"
    evidence = {"silent_s": silent, "median_interval_s": interval}
    return [Finding("stall", points.name, points.steps[-1], None, text, evidence)]


def _spikes(name: str, steps: Sequence[int], values: Sequence[float]) -> list[Finding]:
    found = []
    window: list[float] = []  # sorted
    spread = max(values) - min(values)
    for number, value in enumerate(values):
        if len(window) == WINDOW:
            middle = window[WINDOW // 2]
            mad = median(abs(one - middle) for one in window)
            scale = max(mad, spread * 1e-6)  # equal values have no spread of their own
            score = 0.6745 * (value - middle) / scale if scale else 0.0
            if abs(score) > SPIKE_Z:
                text = (
                    f"{value:.6g} at step {steps[number]}, where {middle:.6g} is usual ({score:+.0f} robust deviations)"
                )
                evidence = {"median": middle, "mad": mad, "z": score}
                found.append(Finding("spike", name, steps[number], value, text, evidence))
            window.pop(bisect_left(window, values[number - WINDOW]))
        insort(window, value)
    for one in found:
        one.evidence["spikes"] = len(found)
    worst = sorted(found, key=lambda one: -abs(one.evidence["z"]))[:MAX_SPIKES]
    return sorted(worst, key=lambda one: one.step or 0)


def _medians(values: Sequence[float]) -> list[float]:
    """Return the medians of 20 groups of about the same size, in order."""
    count = len(values)
    return [median(values[count * at // FEWEST : count * (at + 1) // FEWEST]) for at in range(FEWEST)]


def _spread(values: Sequence[float]) -> float:
    """Return the range of the values without the 5 % at each end: one spike must not hide a plateau."""
    ordered = sorted(values)
    return ordered[-1 - len(ordered) // 20] - ordered[len(ordered) // 20]


def _plateau(name: str, steps: Sequence[int], values: Sequence[float]) -> list[Finding]:
    spread, middles = _spread(values), _medians(values)
    if spread <= 0:
        text = f"all {len(values):,} values are about {middles[-1]:.6g}"
        return [Finding("plateau", name, steps[0], middles[-1], text, {"spread": spread})]
    flat = 1
    while flat < FEWEST and abs(middles[-1 - flat] - middles[-1]) <= PLATEAU_SHARE * spread:
        flat += 1
    if flat < PLATEAU_TAIL * FEWEST or flat == FEWEST:
        return []
    begin = len(values) * (FEWEST - flat) // FEWEST
    text = f"it stays at {middles[-1]:.6g} from step {steps[begin]} to {steps[-1]}, {flat / FEWEST:.0%} of its points"
    evidence = {"spread": spread, "share": flat / FEWEST, "from_step": steps[begin]}
    return [Finding("plateau", name, steps[begin], middles[-1], text, evidence)]


def _rise(name: str, steps: Sequence[int], values: Sequence[float], goal: str) -> list[Finding]:
    if not goal:
        return []
    sign = 1.0 if goal == "min" else -1.0
    spread, middles = _spread(values), [sign * one for one in _medians(values)]
    best = min(range(FEWEST), key=middles.__getitem__)
    worse = middles[-1] - middles[best]
    if spread <= 0 or worse <= RISE_SHARE * spread:
        return []
    step = steps[len(values) * best // FEWEST]
    text = f"it is {sign * middles[-1]:.6g} now and was {sign * middles[best]:.6g} about step {step}"
    evidence = {"best": sign * middles[best], "now": sign * middles[-1], "spread": spread}
    return [Finding("rise", name, step, sign * middles[-1], text, evidence)]
