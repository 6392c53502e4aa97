"""
The status of a run, whatever the order in which its processes report.

Pure, and equal to what materialiser/fold/lifecycle.py decides for PostgreSQL: a higher attempt supersedes a lower one,
and the late end of a superseded attempt changes nothing. Within an attempt schemas/statuses.py ranks the ends, of
those after the last `run_reopened`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas import events as ev
from schemas.statuses import STATUS_AFTER, end_rank


class RunStatus(NamedTuple):
    """The status of a run: that of its newest attempt."""

    status: str  # "running", "finished", "failed", "killed"
    time: int | None  # end of the attempt, µs since 1970-01-01 UTC; None while it runs
    message: str
    attempt: int = 1

    @property
    def is_over(self) -> bool:
        """Whether this attempt has ended."""
        return self.status != "running"


def fold_run_status(known: RunStatus | None, events: Iterable[ev.AnyEvent]) -> RunStatus | None:
    """Return the status of a run after some events; None while its first attempt has not reported an end."""
    for event in events:
        if not isinstance(event, _LIFECYCLE):
            continue
        newest = 1 if known is None else known.attempt
        if isinstance(event, ev.RunReopened) and event.attempt >= newest:
            known, newest = RunStatus("running", None, "", event.attempt), event.attempt
        if event.attempt > newest:
            known, newest = RunStatus("running", None, "", event.attempt), event.attempt
        if isinstance(event, _END) and event.attempt == newest:
            new = RunStatus(STATUS_AFTER[event.kind], event.time, event.message, event.attempt)
            if known is None or end_rank(*new[:3]) >= end_rank(*known[:3]):
                known = new
    return known


_END = ev.RunFinished | ev.RunFailed | ev.RunKilled
_LIFECYCLE = ev.RunCreated | ev.RunStarted | ev.RunResumed | ev.RunReopened | _END
