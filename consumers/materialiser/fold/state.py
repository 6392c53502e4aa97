"""
State of the fold: the stored rows of the runs and series that the current batch touches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from consumers.materialiser.fold.rows import RowSet
from consumers.store.rows import CHUNK_POINTS, AttemptRow, ProducerRow, RunRow, SeriesRow, StepRow

SetKey = tuple[str, str, int, tuple[str, ...], tuple[tuple[str, str], ...]]  # run, step, attempt, names, labels


class StepRows(dict[tuple[str, str], StepRow]):
    """Steps by run and name, with the number of steps of each run."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def __setitem__(self, key: tuple[str, str], row: StepRow) -> None:
        if key not in self:
            self.counts[key[0]] = self.counts.get(key[0], 0) + 1
        super().__setitem__(key, row)

    def update(self, rows: Iterable[tuple[tuple[str, str], StepRow]]) -> None:  # type: ignore[override]  # one form of it
        """Add rows that were loaded from the store."""
        for key, row in rows:
            self[key] = row


class AttemptRows(dict[tuple[str, str, int], AttemptRow]):
    """Attempts by run, step and number, with the newest attempt of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[tuple[str, str], AttemptRow] = {}

    def __setitem__(self, key: tuple[str, str, int], row: AttemptRow) -> None:
        newest = self.newest.get(key[:2])
        if newest is None or newest.attempt <= row.attempt:
            self.newest[key[:2]] = row
        super().__setitem__(key, row)

    def update(self, rows: Iterable[tuple[tuple[str, str, int], AttemptRow]]) -> None:  # type: ignore[override]  # one form of it
        """Add rows that were loaded from the store."""
        for key, row in rows:
            self[key] = row


@dataclass(slots=True)
class FoldState:
    """
    Rows that earlier batches stored.

    The worker loads all of a run at its first record, but a series only when a record has points for it.
    """

    runs: dict[str, RunRow] = field(default_factory=dict)
    producers: dict[tuple[str, str], ProducerRow] = field(default_factory=dict)
    steps: StepRows = field(default_factory=StepRows)
    attempts: AttemptRows = field(default_factory=AttemptRows)
    series: dict[UUID, SeriesRow] = field(default_factory=dict)
    row_sets: dict[SetKey, RowSet] = field(default_factory=dict)
    is_trimmed: bool = False  # open points of some series are in the store alone
    loaded: set[str] = field(default_factory=set)  # runs that were looked up, whether found or not
    partitions: dict[str, int] = field(default_factory=dict)  # of these runs
    tables: int = 0  # identity of the tables that the rows were loaded from; 0 before the first load

    def trim(self, most: int) -> None:
        """Forget open points that are stored if more than `most` are in memory. Everything must be stored."""
        if len(self.series) * CHUNK_POINTS <= most or sum(len(row.values) for row in self.series.values()) <= most:
            return
        for row in self.series.values():
            row.trim()
        self.is_trimmed = True
