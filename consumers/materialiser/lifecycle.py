"""
What lifecycle events do to a run, its steps and its attempts.

Pure. Producers of one run are not in step with each other, so an event may come late: a start after the finish, metrics
before the start. Two rules make the order harmless. A higher attempt always wins over a lower one. Within an attempt a
status only gets graver: running < finished < failed < killed.
"""

from __future__ import annotations

from typing import Any

from consumers.store.rows import TERMINAL, AttemptRow, RunRow, StepRow
from schemas.events import RunCreated, RunFailed, RunFinished, RunKilled, RunResumed, RunStarted

Opened = RunCreated | RunStarted | RunResumed
Ended = RunFinished | RunFailed | RunKilled

GRAVITY = {"created": 0, "lost": 1, "running": 2, "finished": 3, "failed": 4, "killed": 5}
END_STATE = {"run_finished": "finished", "run_failed": "failed", "run_killed": "killed"}
STEP_STATE = {"success": "finished", "fail": "failed"}


def open_run(run: RunRow, event: Opened, *, fresh: bool) -> None:
    """Fold created, started or resumed. `fresh`: no event of this run was folded before."""
    for column, value in _described(event).items():
        if value:
            setattr(run, column, value)
    if event.attempt > run.attempt:
        run.attempt, run.ended, run.message, run.state = event.attempt, None, "", "running"
    if isinstance(event, RunCreated):
        if fresh:
            run.state = "created"
        return
    if run.state not in TERMINAL:
        run.state = "running"
    run.started = earliest(run.started, event.time)


def end_run(run: RunRow, event: Ended) -> str:
    """Fold the end of an attempt of a run and return the state that this attempt ended in."""
    state = END_STATE[event.kind]
    if event.attempt < run.attempt:
        return state  # a late end of an attempt that was superseded
    run.attempt = event.attempt
    if GRAVITY[state] >= GRAVITY[run.state] or run.state not in TERMINAL:
        run.state, run.message = state, event.message or run.message
    run.ended = latest(run.ended, event.time)
    return run.state


def start_attempt(attempt: AttemptRow, time: int) -> None:
    """Fold the start of an attempt."""
    attempt.started = earliest(attempt.started, time)


def end_attempt(attempt: AttemptRow, state: str, message: str, time: int) -> None:
    """Fold the end of an attempt."""
    if attempt.state not in TERMINAL or GRAVITY[state] >= GRAVITY[attempt.state]:
        attempt.state, attempt.message = state, message or attempt.message
    attempt.ended = latest(attempt.ended, time)


def end_step(step: StepRow, state: str, message: str) -> None:
    """Fold the end of a step. A later attempt may turn a failed step into a finished one, so the last word counts."""
    step.state, step.message = state, message


def earliest(known: int | None, time: int) -> int:
    """Return the earlier of two times in µs."""
    return time if known is None else min(known, time)


def latest(known: int | None, time: int) -> int:
    """Return the later of two times in µs."""
    return time if known is None else max(known, time)


def _described(event: Opened) -> dict[str, Any]:
    return {
        "name": event.name,
        "tag": event.tag,
        "group_name": event.group,
        "parent_run_id": event.parent_run_id,
        "original_run_id": event.original_run_id,
        "dag_hash": event.dag_hash,
        "use_cached": event.use_cached,
        "run_config": event.run_config,
    }
