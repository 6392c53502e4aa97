"""
One measured number, in the form in which every benchmark keeps it. Pure.

A time says little about another machine, and little about the same machine next to other programs. A ratio to another
tool, or to a piece of our own, that was measured in the same run says more: only ratios have a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite
from typing import NamedTuple

LOWER, HIGHER = "lower", "higher"
BOUND = 1.25
RATIO = "×"  # the unit of a figure that is a ratio itself, such as a slowdown


class Figure(NamedTuple):
    """A measured number, and how it compares with others of the same run."""

    name: str  # unique in its command
    value: float
    unit: str
    better: str  # "lower" or "higher"
    ratios: Mapping[str, float]  # the value divided by that of others, by whom
    bound: float  # factor by which a ratio may get worse from one run to the next, 1 or more


def lower(
    name: str, value: float, unit: str, others: Mapping[str, float] | None = None, *, bound: float = BOUND
) -> Figure:
    """Return a figure that is better when it is lower, such as a time; `others` are the values of others, by whom."""
    return Figure(name, value, unit, LOWER, _ratios(value, others or {}), bound)


def higher(
    name: str, value: float, unit: str, others: Mapping[str, float] | None = None, *, bound: float = BOUND
) -> Figure:
    """Return a figure that is better when it is higher, such as a rate; `others` are the values of others, by whom."""
    return Figure(name, value, unit, HIGHER, _ratios(value, others or {}), bound)


def _ratios(value: float, others: Mapping[str, float]) -> dict[str, float]:
    return {whom: value / other for whom, other in others.items() if other > 0}


def worse_by(before: float, after: float, better: str) -> float:
    """Return the factor by which a number got worse: 1.1 is 10 % worse, 0.5 twice as good, infinity from or to 0."""
    good, bad = (before, after) if better == LOWER else (after, before)
    if good == bad:
        return 1.0
    return bad / good if good > 0 else inf


def check(figure: Figure) -> None:
    """Raise ValueError, which says what is wrong, if a figure cannot be kept."""
    if not figure.name:
        raise ValueError("a figure has no name")
    if figure.better not in (LOWER, HIGHER):
        raise ValueError(f"{figure.name}: better is {figure.better!r}, not {LOWER!r} or {HIGHER!r}")
    for what, number in {"value": figure.value, "bound": figure.bound, **figure.ratios}.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not isfinite(number):
            raise ValueError(f"{figure.name}: {what} is {number!r}, not a finite number")
    if figure.bound < 1:
        raise ValueError(f"{figure.name}: bound is {figure.bound}: it must be 1 or more")
