"""
How a run ended, whatever order its processes speak in.

Pure, and as materialiser/lifecycle.py decides it for PostgreSQL: a higher attempt wins over a lower one; within an
attempt the gravest end counts, finished < failed < killed, of two alike the later, and no start undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas import events as ev

_GRAVITY = {"finished": 1, "failed": 2, "killed": 3}
_STATUS = {"run_finished": "finished", "run_failed": "failed", "run_killed": "killed"}


class Ending(NamedTuple):
    """The end of an attempt of a run."""

    status: str
    time: int  # µs
    message: str
    attempt: int = 1


def fold_ending(known: Ending | None, events: Iterable[ev.AnyEvent]) -> Ending | None:
    """Return how the run ended after some events, or None while it runs."""
    for event in events:
        if isinstance(event, ev.RunFinished | ev.RunFailed | ev.RunKilled):
            new = Ending(_STATUS[event.kind], event.time, event.message, event.attempt)
            if known is None or _rank(new) >= _rank(known):
                known = new
        elif isinstance(event, ev.RunStarted | ev.RunResumed) and known is not None and event.attempt > known.attempt:
            known = None
    return known


def _rank(end: Ending) -> tuple[int, int, int, str]:
    return end.attempt, _GRAVITY[end.status], end.time, end.message
