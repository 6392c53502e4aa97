"""
Health of everything that reads the log.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class PartitionLag(BaseModel):
    """How far one consumer has read one partition."""

    consumer: str
    partition: int
    offset: int = Field(description="next offset to read; the first of the log where it has not read yet")
    end: int | None = Field(default=None, description="end of the log, null when Kafka cannot be reached")
    lag: int | None = Field(default=None, description="records of the log that are not applied, null without end")


class DeliveryStatus(BaseModel):
    """Status of one tracker."""

    tracker: str
    runs: int
    parked: int = Field(description="runs that this tracker refuses; other runs continue")
    last_error: str = ""
    state: Literal["running", "paused", "circuit open", "stopped", "one-off"] = Field(
        default="running",
        description="circuit open: the tracker does not answer, one call at a time is tried; stopped: no process; "
        "one-off: no process, and it only ever received runs that a replay chose",
    )
    follows: bool = Field(
        default=True, description="it receives the whole log, so it has a lag; false: only runs that a replay chose"
    )
    paused: bool = Field(default=False, description="`gateway trackers pause` has paused its deliveries")
    waiting: int = Field(default=0, description="runs whose last call failed and will be tried again")
    behind: int = Field(default=0, description="runs that are reread from their own offset")
    in_doubt: int = Field(default=0, description="runs with a call whose result is unknown; it will be tried again")
    circuit_since: int | None = Field(default=None, description="µs; when the tracker stopped answering")
    retry_at: int | None = Field(default=None, description="µs; when the next call will be tried")


class NewestDeadLetter(BaseModel):
    """A record that can never be folded and has no decision yet."""

    id: str = Field(description="topic:partition:offset, as `gateway dead-letters` expects it")
    run: str | None = Field(description="the record's key; null if it has none")
    kind: str = Field(description="class of schemas/errors.py")
    reason: str
    time: int = Field(description="ms since 1970-01-01 UTC, the timestamp that the broker stores")


class Status(BaseModel):
    """Health of everything that reads the log."""

    lag: list[PartitionLag]
    dead_letters: int | None = Field(
        description="dead letters that are neither replayed nor discarded; null while PostgreSQL does not say"
    )
    newest_dead_letter: NewestDeadLetter | None = None
    deliveries: list[DeliveryStatus]
    problems: list[str] = Field(default_factory=list, description="what is missing in this answer, and why")
