"""
Apply lifecycle events to a run, its steps and its attempts.

Pure. The producers of one run are not synchronised, so an event may arrive late: a start after the finish, or metrics
before the start. Three rules make the result independent of the order. A higher attempt always wins over a lower one.
Within an attempt the most severe end counts (finished < failed < killed); of two equal ends the later counts; and no
start undoes an end; only `run_reopened` does, for the ends before it in the log. A step has the state of its newest
attempt. `lost` is not a state here: it depends on the time of
reading, see sql/queries.sql.

Clients give an id that was used on their machine a new attempt or a suffix. If two machines start the same attempt of a
run, the log holds records of both under one identity, and no reader can tell them apart afterwards. So both are kept
and the attempt says so in its message: nothing is dropped, and nothing is mixed in silence.
"""

from __future__ import annotations

from typing import Any

from consumers.store.rows import AttemptRow, RunRow, StepRow
from schemas.events import Moved, RunCreated, RunFailed, RunFinished, RunKilled, RunReopened, RunResumed, RunStarted
from schemas.statuses import STATUS_AFTER, end_rank

TWICE = (
    "two trainings started this attempt under one run id, so their points and parameters are mixed: give each a run_id "
    "of its own, or continue with resume=True"
)

Opened = RunCreated | RunStarted | RunResumed
Ended = RunFinished | RunFailed | RunKilled


def open_run(run: RunRow, event: Opened) -> None:
    """Fold the creation, start or resumption of a run."""
    is_old = event.attempt < run.attempt  # values of a superseded attempt fill gaps and change nothing else
    if (event.experiment_id or event.tag) and not (is_old and (run.experiment_id or run.tag)):
        run.experiment_id = event.experiment_id
    for column, value in _description(event).items():
        if value and not (is_old and getattr(run, column)):
            setattr(run, column, value)
    if not is_old:
        run.heartbeats = event.heartbeats
    _advance_attempt(run, event.attempt)
    if not isinstance(event, RunCreated):
        mark_running(run)
        run.started = earliest(run.started, event.time)


def move_run(run: RunRow, event: Moved) -> None:
    """Put a run into another experiment."""
    run.experiment_id, run.tag = event.experiment_id, event.tag or run.tag


def is_second_start(run: RunRow, attempt: AttemptRow | None, event: Opened) -> bool:
    """
    Return whether another process has started the first attempt of a run before; `attempt` is its row so far.

    Later attempts are asked for (`resume`, `attempt`), so there may be several starts of one. A start that is sent
    again by a journal's successor has the same time.
    """
    if not isinstance(event, RunStarted) or event.attempt > 1 or run.started is None or attempt is None:
        return False
    if run.attempt == 1:
        return event.time != run.started
    return attempt.started is not None and event.time > attempt.started  # not the first start, which came late


def mark_second_start(attempt: AttemptRow) -> None:
    """State in an attempt that two trainings wrote it."""
    _, message = _split(attempt.message)
    attempt.message = _join(TWICE, message)


def mark_running(run: RunRow) -> None:
    """Fold a sign that a process works on the run."""
    if run.state == "created":
        run.state = "running"


def end_run(run: RunRow, event: Ended) -> str:
    """Fold the end of an attempt of a run and return the state that this event names."""
    state = STATUS_AFTER[event.kind]
    _advance_attempt(run, event.attempt)
    if event.attempt == run.attempt:  # otherwise this is the late end of a superseded attempt
        _end(run, state, event.message, event.time)
    return state


def reopen(run: RunRow, attempt: AttemptRow, event: RunReopened) -> None:
    """Fold the continuation of an attempt that had ended."""
    _advance_attempt(run, event.attempt)
    mark, _ = _split(attempt.message)
    attempt.state, attempt.ended, attempt.message = "running", None, mark
    if event.attempt == run.attempt:
        run.state, run.ended, run.message = "running", None, ""
        run.heartbeats = False


def start_attempt(attempt: AttemptRow, time: int) -> None:
    """Fold a sign of an attempt: the earliest one is its start."""
    attempt.started = earliest(attempt.started, time)


def end_attempt(attempt: AttemptRow, state: str, message: str, time: int) -> None:
    """Fold the end of an attempt."""
    mark, attempt.message = _split(attempt.message)
    _end(attempt, state, message, time)
    attempt.message = _join(mark, attempt.message)


def update_step(step: StepRow, newest: AttemptRow) -> None:
    """Give a step the state and message of its newest attempt."""
    step.state, step.message = newest.state, newest.message


def _advance_attempt(run: RunRow, attempt: int) -> None:
    """Start a new attempt if this is one: the outcome of the previous attempt no longer counts."""
    if attempt > run.attempt:
        run.attempt, run.ended, run.message, run.state = attempt, None, "", "running"


def _end(row: RunRow | AttemptRow, state: str, message: str, time: int) -> None:
    if end_rank(state, time, message) >= end_rank(row.state, row.ended, row.message):
        row.state, row.ended, row.message = state, time, message


def _split(message: str) -> tuple[str, str]:
    """Return the mark of a second start, "" if there is none, and the message of the end."""
    return (TWICE, message[len(TWICE) + 2 :]) if message.startswith(TWICE) else ("", message)


def _join(mark: str, message: str) -> str:
    return f"{mark}; {message}" if mark and message else mark or message


def earliest(stored: int | None, time: int) -> int:
    """Return the earlier of two times in µs."""
    return time if stored is None else min(stored, time)


def _description(event: Opened) -> dict[str, Any]:
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
