"""
State of the fold: the stored rows of the runs and series that the current batch touches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from consumers.store.rows import AttemptRow, ProducerRow, RunRow, SeriesRow, StepRow


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
    loaded: set[str] = field(default_factory=set)  # runs that were looked up, whether found or not
    partitions: dict[str, int] = field(default_factory=dict)  # of these runs
    tables: int = 0  # identity of the tables that the rows were loaded from; 0 before the first load
