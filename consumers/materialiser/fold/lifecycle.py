"""
What lifecycle events do to a run, its steps and its attempts.

Pure. Producers of one run are not in step with each other, so an event may come late: a start after the finish, metrics
before the start. Three rules make the order harmless. A higher attempt always wins over a lower one. Within an attempt
the gravest end counts, finished < failed < killed, of two alike the later, and no start undoes it. A step is what its
newest attempt is. `lost` is no state here: it depends on the time of reading, see sql/queries.sql.
"""

from __future__ import annotations

from typing import Any

from consumers.store.rows import AttemptRow, RunRow, StepRow
from schemas.events import RunCreated, RunFailed, RunFinished, RunKilled, RunResumed, RunStarted
from schemas.statuses import AFTER, ENDED, GRAVITY

Opened = RunCreated | RunStarted | RunResumed
Ended = RunFinished | RunFailed | RunKilled

STEP_STATE = {"success": "finished", "fail": "failed"}


def open_run(run: RunRow, event: Opened) -> None:
    """Fold created, started or resumed."""
    is_old = event.attempt < run.attempt  # what a superseded attempt says fills gaps, and changes nothing
    for column, value in _described(event).items():
        if value and not (is_old and getattr(run, column)):
            setattr(run, column, value)
    _reach(run, event.attempt)
    if not isinstance(event, RunCreated):
        wake(run)
        run.started = earliest(run.started, event.time)


def wake(run: RunRow) -> None:
    """Fold a sign that somebody works on the run."""
    if run.state == "created":
        run.state = "running"


def end_run(run: RunRow, event: Ended) -> str:
    """Fold the end of an attempt of a run and return the state that this event names."""
    state = AFTER[event.kind]
    _reach(run, event.attempt)
    if event.attempt == run.attempt:  # else the late end of an attempt that was superseded
        _end(run, state, event.message, event.time)
    return state


def start_attempt(attempt: AttemptRow, time: int) -> None:
    """Fold a sign of an attempt: the earliest is its start."""
    attempt.started = earliest(attempt.started, time)


def end_attempt(attempt: AttemptRow, state: str, message: str, time: int) -> None:
    """Fold the end of an attempt."""
    _end(attempt, state, message, time)


def judge_step(step: StepRow, newest: AttemptRow) -> None:
    """Make a step what its newest attempt is."""
    step.state, step.message = newest.state, newest.message


def _reach(run: RunRow, attempt: int) -> None:
    """Begin a new attempt when this is one: what the last one came to is history."""
    if attempt > run.attempt:
        run.attempt, run.ended, run.message, run.state = attempt, None, "", "running"


def _end(row: RunRow | AttemptRow, state: str, message: str, time: int) -> None:
    known = (GRAVITY[row.state], row.ended or 0, row.message) if row.state in ENDED else (0, 0, "")
    if (GRAVITY[state], time, message) >= known:
        row.state, row.ended, row.message = state, time, message


def earliest(known: int | None, time: int) -> int:
    """Return the earlier of two times in µs."""
    return time if known is None else min(known, time)


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
