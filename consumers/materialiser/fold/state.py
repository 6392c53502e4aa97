"""
Rows that the fold works on: what earlier batches stored of the runs in the current batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from consumers.store.rows import AttemptRow, ProducerRow, RunRow, SeriesRow, StepRow


class StepRows(dict[tuple[str, str], StepRow]):
    """Steps by run and name, with how many each run has."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def __setitem__(self, key: tuple[str, str], row: StepRow) -> None:
        if key not in self:
            self.counts[key[0]] = self.counts.get(key[0], 0) + 1
        super().__setitem__(key, row)

    def update(self, rows: Iterable[tuple[tuple[str, str], StepRow]]) -> None:  # type: ignore[override]  # one form of it
        """Take rows that were loaded."""
        for key, row in rows:
            self[key] = row


class AttemptRows(dict[tuple[str, str, int], AttemptRow]):
    """Attempts by run, step and number, with the newest of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[tuple[str, str], AttemptRow] = {}

    def __setitem__(self, key: tuple[str, str, int], row: AttemptRow) -> None:
        known = self.newest.get(key[:2])
        if known is None or known.attempt <= row.attempt:
            self.newest[key[:2]] = row
        super().__setitem__(key, row)

    def update(self, rows: Iterable[tuple[tuple[str, str, int], AttemptRow]]) -> None:  # type: ignore[override]  # one form of it
        """Take rows that were loaded."""
        for key, row in rows:
            self[key] = row


@dataclass(slots=True)
class Known:
    """Rows of the runs at hand. The worker loads a run whole, and a series when a record has points for it."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    producers: dict[tuple[str, str], ProducerRow] = field(default_factory=dict)
    steps: StepRows = field(default_factory=StepRows)
    attempts: AttemptRows = field(default_factory=AttemptRows)
    series: dict[UUID, SeriesRow] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)  # runs that were looked for
    tables: int = 0  # identity of the tables they were loaded from, 0 before the first
