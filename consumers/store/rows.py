"""
The rows that the fold computes and the store writes: one field per column.

Plain values without I/O. `RunRow`, `SeriesRow` and others change while a batch is folded; the store writes each changed
row once, at the end of the batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from consumers.store.registry.rows import RegistryChanges
from schemas.columns import FloatArray, IntArray

CHUNK_POINTS = 1_000  # measured with 1,000 points per chunk: COPY of 0.7 M points/s, 9-17 bytes per point
FIRST_SPREAD = 500  # the first chunk of a series has up to this many points fewer; its id decides how many
SMALL_POINTS = 16  # rows of open points with fewer are merged once they have this many together
ROW_POINTS = 32  # in a row of open points that came with those of other series; one more row a batch is written again
GROUP_CHUNKS = 64  # summaries of consecutive chunks in one row of chunk_groups
PIECE_LEVELS = (16, 8)  # numbers of pieces of a full chunk whose corners are kept
LEVEL_FACTOR = 4  # a summary of one level of chunk_groups stands for so many of the level below


@dataclass(slots=True)
class RunRow:
    """The run itself."""

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
    month: int = 0  # YYYYMM of its first folded event, see months.py
    first_offset: int | None = (
        None  # of its first folded record; None: folded by an older release, which did not store it
    )
    experiment_id: str = ""  # "": the experiment that its tag names
    lifecycle_stage: str = "active"  # or deleted: in the trash, from which it can be restored
    heartbeats: bool = True  # False: its writers send none, so it is never shown as lost


@dataclass(slots=True)
class ProducerRow:
    """The ledger of one producer of a run."""

    run_id: str
    producer: str
    next_seq: int = 0
    missing: list[list[int]] = field(default_factory=list)
    refused: int = 0
    expected: int | None = None
    expected_points: int | None = None
    dropped: int = 0
    author: str = ""


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


class WaitingRows(Protocol):
    """Points of several series, row by row, that are to be appended to each of them."""

    def pass_on(self, changes: Changes) -> None:
        """Append what waits to each of the series."""


@dataclass(slots=True)
class SeriesRow:
    """Summary of a series, and its open points, which are not yet in a full chunk."""

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
    last_step: int = -(2**63)  # of the newest point: the highest step, then time, then value
    last_time: int = -(2**63)
    last_value: float = 0.0
    min_value: float | None = None
    max_value: float | None = None
    open_index: int = 0
    held: int = 0  # index of the first open point that is in memory; those before it are stored, see `trim`
    month: int = 0  # month of its run
    is_dropped: bool = False  # retention dropped its points: there are no open points to continue from
    tail: list[int] = field(default_factory=list, repr=False)  # first index of each row of its open points
    loose: int = 0  # index of the first of the trailing rows with fewer than SMALL_POINTS points
    is_stored: bool = False  # the store has a row of it
    waiting: WaitingRows | None = field(default=None, repr=False)  # its points that are not appended yet
    steps: IntArray = field(default_factory=lambda: array("q"), repr=False)
    times: IntArray = field(default_factory=lambda: array("q"), repr=False)
    values: FloatArray = field(default_factory=lambda: array("d"), repr=False)

    def take_up(self, first_index: int, steps: Iterable[int], times: Iterable[int], values: Iterable[float]) -> None:
        """Add one stored row of open points. Rows must come in order, the first at `open_index`."""
        self.tail.append(first_index)
        self.steps.extend(steps)
        self.times.extend(times)
        self.values.extend(values)
        if self.end - first_index >= SMALL_POINTS:
            self.loose = self.end

    @property
    def end(self) -> int:
        """Index after the last point."""
        return self.held + len(self.values)

    def trim(self) -> None:
        """Forget the open points of rows that will not change before the chunk is full. Everything must be stored."""
        first = min(self.loose, self.tail[-1]) if self.tail else self.held
        if (count := first - self.held) > 0:
            del self.steps[:count], self.times[:count], self.values[:count]
            self.held = first

    def restore(self, other: SeriesRow) -> None:
        """Take over the open points of the same row, loaded again, so that a chunk can be made of them."""
        self.steps, self.times, self.values, self.held = other.steps, other.times, other.values, other.held
        self.tail, self.loose, self.is_dropped = other.tail, other.loose, other.is_dropped


@dataclass(slots=True)
class ChunkRow:
    """Consecutive points of a series, with the summary that a chart needs."""

    series_id: UUID
    first_index: int
    month: int  # month of the run
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
    steps: IntArray = field(repr=False)  # never changed once the row exists
    times: IntArray = field(repr=False)
    point_values: FloatArray = field(repr=False)
    corners: IntArray | None = None  # of a full chunk: where its corners lie, see fold/corners.py
    ends: FloatArray | None = None  # of a full chunk: its first and last value by step
    pieces: array[int] | None = None  # of a full chunk: the numbers of corners of its pieces, see fold/pieces.py


class FullGroup(NamedTuple):
    """The chunks from number GROUP_CHUNKS x `number` on, GROUP_CHUNKS of them, which are full since this batch."""

    series_id: UUID
    number: int
    month: int


@dataclass(slots=True)
class DeadLetterRow:
    """A record that can never be folded, byte for byte."""

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
    in_row: int = 0  # consecutive parked records in this partition, this one included
    of_run: int = 0  # parked records with this key in this partition, this one included; 0 without a key


@dataclass(frozen=True, slots=True)
class Edit:
    """A deletion of a named part of a run, or its renaming if `new` is given. Always alone in its transaction."""

    run_id: str
    what: str
    name: str
    new: str | None


Key = tuple[Any, ...]


@dataclass(slots=True)
class Changes:
    """Everything that one transaction writes. Dicts hold one row per key: the last one folded."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    producers: dict[Key, ProducerRow] = field(default_factory=dict)
    steps: dict[Key, StepRow] = field(default_factory=dict)
    attempts: dict[Key, AttemptRow] = field(default_factory=dict)
    first_params: dict[Key, dict[str, Any]] = field(default_factory=dict)  # only where there is no row yet
    params: dict[Key, dict[str, Any]] = field(default_factory=dict)
    tags: dict[Key, dict[str, Any]] = field(default_factory=dict)
    run_labels: dict[Key, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[Key, dict[str, Any]] = field(default_factory=dict)
    code_identities: dict[Key, dict[str, Any]] = field(default_factory=dict)
    metric_definitions: dict[Key, dict[str, Any]] = field(default_factory=dict)
    observations: list[dict[str, Any]] = field(default_factory=list)
    console_lines: list[dict[str, Any]] = field(default_factory=list)
    series: dict[UUID, SeriesRow] = field(default_factory=dict)
    chunks: dict[tuple[UUID, int], ChunkRow] = field(default_factory=dict)
    new_points: dict[int, int] = field(default_factory=dict)  # by month
    unwritten: dict[UUID, int] = field(default_factory=dict)  # index of the first open point that is in no row yet
    reopened: dict[UUID, int] = field(default_factory=dict)  # index of the first stored row that is written again
    full_groups: list[FullGroup] = field(default_factory=list)
    waiting: list[WaitingRows] = field(default_factory=list)  # what may hold points that are not appended yet
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)  # partition: (expected, next)
    registry: RegistryChanges = field(default_factory=RegistryChanges)
    last_times: dict[int, int] = field(default_factory=dict)  # partition: ms, of the record before `next`
