"""
Points that a later attempt of a series repeated. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from consumers.store.read.charts.summaries import Sample


def supersede(attempts: Sequence[Sequence[Sample]]) -> list[Sample]:
    """Return the points of all attempts (first attempt first), sorted, without steps that a later attempt repeated."""
    points = [[point.step for point in attempt] for attempt in attempts]
    limits = restarts_of([min(steps) if steps else None for steps in points])
    kept = [
        point
        for attempt, limit in zip(attempts, limits, strict=True)
        for point in attempt
        if limit is None or point.step < limit
    ]
    return sorted(kept, key=itemgetter(0, 1))


def restarts_of(lowest: Sequence[int | None]) -> list[int | None]:
    """
    Return, for each attempt, the lowest step of the later ones: what lies there or above is superseded.

    `lowest` has the lowest step of each attempt, None if it has no point.
    """
    found: list[int | None] = []
    limit: int | None = None
    for step in reversed(lowest):
        found.append(limit)
        if step is not None:
            limit = step if limit is None else min(limit, step)
    return found[::-1]
