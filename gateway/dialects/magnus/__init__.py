"""
The tracking API of Magnus (seeds 000, 001 and 002): `from gateway.dialects.magnus import track_this`.

Without Magnus: the functions of `magnus` that a task calls, on a run of the gateway. With magnus 0.5.1: a tracker for
its configuration, `experiment_tracker: {type: gateway}`. docs/magnus.md compares both with the documents.

- `api`: the functions. `variables`: names and values of MAGNUS_TRACK_ variables. `settings`: how steps are written.
- `tracker`: the plug-in for magnus, and the only file that imports it. `watch`: notices variables when they are set.
  `pipeline`: records a pipeline as a run. `steplog`: what a step log of a pipeline that runs becomes.
- `run_log`: a run log that Magnus wrote, as records of the log. `run_log_check`: what is refused before.
  `run_log_files`: the files of its file-system and chunked stores. `run_log_import`: many of them into the log.
"""

from __future__ import annotations

from gateway.dialects.magnus.api import (
    get_experiment_tracker_context,
    get_parameter,
    get_run_id,
    get_run_log,
    get_tag,
    set_parameter,
    track_this,
)

__all__ = [
    "get_experiment_tracker_context",
    "get_parameter",
    "get_run_id",
    "get_run_log",
    "get_tag",
    "set_parameter",
    "track_this",
]
