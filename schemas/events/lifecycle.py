"""
Events of the life cycle: runs, named steps, attempts and producers.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.events.base import Attempt, Count, Event, IndexedText, JsonObject, Scoped, Text


class _RunOpened(Event):
    attempt: Attempt = 1
    name: Text = ""
    tag: Text = ""  # names the experiment of the run (Magnus, seeds 001 and 002)
    experiment_id: IndexedText = ""  # of its experiment; "": the one that the tag names
    group: IndexedText = ""  # runs of one sweep or job
    parent_run_id: Text = ""
    original_run_id: Text = ""
    dag_hash: Text = ""
    use_cached: bool = False
    run_config: JsonObject = Field(default_factory=dict)
    heartbeats: bool = True  # False: its writers send none, so a long silence does not mean that the run is lost


class RunCreated(_RunOpened):
    """A run is known and has not started yet."""

    kind: Literal["run_created"] = "run_created"


class RunStarted(_RunOpened):
    """A run starts its first attempt."""

    kind: Literal["run_started"] = "run_started"


class RunResumed(_RunOpened):
    """A run continues in a new attempt, for example from a checkpoint."""

    kind: Literal["run_resumed"] = "run_resumed"


class RunReopened(Event):
    """
    A run that had ended continues within its attempt: the ends of this attempt that the log has before it do not count.

    For APIs without attempts, whose users set the status of a run (MLflow, seed 004) and which send no heartbeats: a
    long silence afterwards does not mean that the run is lost. Training that starts again from a checkpoint is a new
    attempt, `RunResumed`.
    """

    kind: Literal["run_reopened"] = "run_reopened"
    attempt: Attempt = 1


class _RunEnded(Event):
    attempt: Attempt = 1
    message: Text = ""
    batches: Count | None = None  # of this producer for this run, this record included


class RunFinished(_RunEnded):
    """The training code ended without an error."""

    kind: Literal["run_finished"] = "run_finished"


class RunFailed(_RunEnded):
    """The training code raised an exception; `message` describes it."""

    kind: Literal["run_failed"] = "run_failed"


class RunKilled(_RunEnded):
    """The run was stopped from outside: a signal, a scheduler, a person."""

    kind: Literal["run_killed"] = "run_killed"


class StepStarted(Scoped):
    """A named step begins."""

    kind: Literal["step_started"] = "step_started"
    name: Text = ""
    step_type: Text = "task"
    mock: bool = False


class StepFinished(Scoped):
    """A named step ends."""

    kind: Literal["step_finished"] = "step_finished"
    status: Literal["success", "fail"] = "success"
    message: Text = ""


class AttemptStarted(Scoped):
    """One try of a step begins."""

    kind: Literal["attempt_started"] = "attempt_started"


class AttemptFinished(Scoped):
    """One try of a step ends."""

    kind: Literal["attempt_finished"] = "attempt_finished"
    status: Literal["success", "fail"] = "success"
    message: Text = ""


class Heartbeat(Event):
    """The producer is alive."""

    kind: Literal["heartbeat"] = "heartbeat"


class ProducerClosed(Event):
    """A producer reports how much it sent, so that a run log can show how much is missing."""

    kind: Literal["producer_closed"] = "producer_closed"
    batches: Count  # records of this producer for this run, this one included
    points: Count  # metric points in them
    dropped: Count = 0  # points, values, lines and notes dropped at a limit, never sent
    author: IndexedText = ""  # who sent its events, if that is known: a change over HTTP is a producer of its own
