"""How a run may stand, and what its events make of it: the words of `runs.state` and of every tracker's read-back."""

from __future__ import annotations

from collections.abc import Mapping

ENDED = ("finished", "failed", "killed")
GRAVITY = {"created": 0, "running": 1, "finished": 2, "failed": 3, "killed": 4}  # of two ends of an attempt the higher
STATUS_AFTER: Mapping[str, str] = {  # by kind of event
    "run_created": "created", "run_started": "running", "run_resumed": "running",
    "run_finished": "finished", "run_failed": "failed", "run_killed": "killed",
}  # fmt: skip
