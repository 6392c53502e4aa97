"""
Run statuses and the transitions that events cause; used by `runs.state` and by every tracker's read-back.

The producers of one run are not synchronised, so their events may arrive in any order. A higher attempt always wins
over a lower one. Within an attempt `end_rank` decides, so the result does not depend on the order. Only `run_reopened`
does: the ends before it in the log do not count.
"""

from __future__ import annotations

from collections.abc import Mapping

ENDED = ("finished", "failed", "killed")
_SEVERITY = {"created": 0, "running": 1, "finished": 2, "failed": 3, "killed": 4}
STATUS_AFTER: Mapping[str, str] = {  # status after an event, by its kind
    "run_created": "created", "run_started": "running", "run_resumed": "running",
    "run_reopened": "running",
    "run_finished": "finished", "run_failed": "failed", "run_killed": "killed",
}  # fmt: skip
STEP_STATUS: Mapping[str, str] = {"success": "finished", "fail": "failed"}  # by the result that an event reports


def end_rank(status: str, time: int | None, message: str) -> tuple[int, int, str]:
    """
    Return the rank of a status within one attempt: the highest one counts; `time` is that of the end, in µs.

    The most severe end wins (finished < failed < killed), of two equal ends the later one. No start undoes an end.
    """
    return _SEVERITY[status], time or 0, message
