"""
How a run stands, whatever order its processes speak in.

Pure, and as materialiser/fold/lifecycle.py decides it for PostgreSQL: a higher attempt wins over a lower one, and the
late end of an attempt that was superseded changes nothing; within an attempt the gravest end counts, finished < failed
< killed, of two alike the later, and no start undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas import events as ev
from schemas.statuses import AFTER, GRAVITY


class Ending(NamedTuple):
    """How the newest attempt of a run stands."""

    status: str  # "running", "finished", "failed", "killed"
    time: int | None  # µs since 1970-01-01 UTC, of the end; None while it runs
    message: str
    attempt: int = 1

    @property
    def is_over(self) -> bool:
        """Whether this attempt has ended."""
        return self.status != "running"


def fold_ending(known: Ending | None, events: Iterable[ev.AnyEvent]) -> Ending | None:
    """Return how the run stands after some events; None for one whose first attempt was not heard to end."""
    for event in events:
        if not isinstance(event, _LIFE):
            continue
        newest = 1 if known is None else known.attempt
        if event.attempt > newest:
            known, newest = Ending("running", None, "", event.attempt), event.attempt
        if isinstance(event, _END) and event.attempt == newest:
            new = Ending(AFTER[event.kind], event.time, event.message, event.attempt)
            if known is None or _rank(new) >= _rank(known):
                known = new
    return known


_END = ev.RunFinished | ev.RunFailed | ev.RunKilled
_LIFE = ev.RunCreated | ev.RunStarted | ev.RunResumed | _END


def _rank(end: Ending) -> tuple[int, int, str]:
    return GRAVITY[end.status], end.time or 0, end.message
