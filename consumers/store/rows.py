"""
The rows that the fold computes and the store keeps, field for column.

Plain values without I/O. `RunRow`, `SeriesRow` and the like change while a batch is folded; the store writes each
touched row once, at the end of the batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from schemas.columns import FloatArray, IntArray

CHUNK_POINTS = 1_000  # 1,000 points a chunk measured 0.7 M points/s by COPY and 9-17 bytes a point
FIRST_SPREAD = 500  # the first chunk of a series has as many points less, at most; which follows from its id
SMALL_POINTS = 16  # rows of open points with fewer are made one as soon as they have as many together


@dataclass(slots=True)
class RunRow:
    """Head of a run."""

    run_id: str
    partition: int
    name: str = ""
    tag: str = ""
    group_name: str = ""
    parent_run_id: str = ""
    original_run_id: str = ""
    dag_hash: str = ""
    use_cached: bool = False
    run_config: dict[str, Any] = field(default_factory=dict)
    state: str = "created"
    message: str = ""
    attempt: int = 1
    created: int = 2**62  # µs, earliest event time
    started: int | None = None  # µs
    ended: int | None = None  # µs
    updated: int = 0  # µs, latest event time
    points: int = 0
    note: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    deleted: bool = False
    next_offset: int = 0
    month: int = 0  # YYYYMM of its first event that was folded, see months.py
    first_offset: int | None = None  # of the first record that was folded; None: an older release did not write it


@dataclass(slots=True)
class ProducerRow:
    """Ledger of one producer of a run."""

    run_id: str
    producer: str
    next_seq: int = 0
    missing: list[list[int]] = field(default_factory=list)
    refused: int = 0
    expected: int | None = None
    expected_points: int | None = None
    dropped: int = 0


@dataclass(slots=True)
class StepRow:
    """One named step of a run."""

    run_id: str
    step_name: str
    position: int
    name: str = ""
    step_type: str = "task"
    state: str = "running"
    message: str = ""
    mock: bool = False


@dataclass(slots=True)
class AttemptRow:
    """One try of a step."""

    run_id: str
    step_name: str
    attempt: int
    state: str = "running"
    message: str = ""
    started: int | None = None  # µs
    ended: int | None = None  # µs


@dataclass(slots=True)
class SeriesRow:
    """Summary of a series, and its open points: those not yet in a full chunk."""

    series_id: UUID
    run_id: str
    step_name: str
    attempt: int
    name: str
    labels: dict[str, str]
    integer: bool = True
    system: bool = False
    deleted: bool = False
    points: int = 0
    non_finite: int = 0
    last_step: int = -(2**63)
    last_time: int = 0
    last_value: float = 0.0
    min_value: float | None = None
    max_value: float | None = None
    open_index: int = 0
    month: int = 0  # of its run
    is_dropped: bool = False  # its points are not kept any more: there are no open ones to go on from
    tail: list[int] = field(default_factory=list, repr=False)  # first indexes of the rows of its open points
    loose: int = 0  # the rows from this index on are the last ones that have less than SMALL_POINTS
    steps: IntArray = field(default_factory=lambda: array("q"), repr=False)
    times: IntArray = field(default_factory=lambda: array("q"), repr=False)
    values: FloatArray = field(default_factory=lambda: array("d"), repr=False)

    def take_up(self, first_index: int, steps: Iterable[int], times: Iterable[int], values: Iterable[float]) -> None:
        """Go on from one stored row of open points; they come in order, the first at `open_index`."""
        self.tail.append(first_index)
        self.steps.extend(steps)
        self.times.extend(times)
        self.values.extend(values)
        end = self.open_index + len(self.values)
        if end - first_index >= SMALL_POINTS:
            self.loose = end


@dataclass(slots=True)
class ChunkRow:
    """Consecutive points of a series, with what a chart needs to know of them."""

    series_id: UUID
    first_index: int
    month: int  # of the run
    points: int
    min_step: int
    max_step: int
    min_time: int
    max_time: int
    first_value: float
    last_value: float
    min_value: float | None
    max_value: float | None
    non_finite: int
    steps: IntArray = field(repr=False)  # never changed once the row is made
    times: IntArray = field(repr=False)
    point_values: FloatArray = field(repr=False)


@dataclass(slots=True)
class DeadLetterRow:
    """A record that can never be folded, with its bytes."""

    topic: str
    partition: int
    log_offset: int
    kind: str
    reason: str
    record_key: bytes | None
    record_value: bytes | None
    header_names: list[str]
    header_values: list[bytes | None]
    record_time: int  # ms, broker
    in_row: int = 0  # parked in this partition with no good record between, itself included
    of_run: int = 0  # parked in this partition with this key, itself included; 0 without a key


@dataclass(frozen=True, slots=True)
class Edit:
    """A named part of a run is deleted, or renamed when `new` is given. Always alone in its transaction."""

    run_id: str
    what: str
    name: str
    new: str | None


Key = tuple[Any, ...]


@dataclass(slots=True)
class Changes:
    """Everything one transaction writes. Dicts keep one row a key: the last one folded wins."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    producers: dict[Key, ProducerRow] = field(default_factory=dict)
    steps: dict[Key, StepRow] = field(default_factory=dict)
    attempts: dict[Key, AttemptRow] = field(default_factory=dict)
    params: dict[Key, dict[str, Any]] = field(default_factory=dict)
    tags: dict[Key, dict[str, Any]] = field(default_factory=dict)
    run_labels: dict[Key, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[Key, dict[str, Any]] = field(default_factory=dict)
    code_identities: dict[Key, dict[str, Any]] = field(default_factory=dict)
    observations: list[dict[str, Any]] = field(default_factory=list)
    console_lines: list[dict[str, Any]] = field(default_factory=list)
    series: dict[UUID, SeriesRow] = field(default_factory=dict)
    chunks: dict[tuple[UUID, int], ChunkRow] = field(default_factory=dict)
    new_points: dict[int, int] = field(default_factory=dict)  # by month
    unwritten: dict[UUID, int] = field(default_factory=dict)  # open points from this index on are in no row yet
    reopened: dict[UUID, int] = field(default_factory=dict)  # stored rows from this index on are made anew
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)  # partition: (expected, next)
