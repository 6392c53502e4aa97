"""
What bulk writing needs of a database, whichever kind it is.

SQL has `?` for a value, and is otherwise what both SQLite and PostgreSQL understand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Column(NamedTuple):
    """Values of one column, for rows to insert."""

    name: str
    kind: str  # PostgreSQL's name of the type
    values: Sequence[Any]


class Connection(Protocol):
    """A connection in a transaction."""

    def select(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    def execute(self, sql: str, *values: Any) -> None:
        """Carry out a statement."""

    def insert(self, table: str, run: str, columns: Sequence[Column], conflict: str) -> None:
        """Insert rows of one run; `conflict` is what follows ON CONFLICT."""


class Database(Protocol):
    """One database of MLflow's. Its errors are TrackerUnavailable and TrackerRefused."""

    address: str  # without a password
    is_local: bool  # folders for artifacts that it names are on this machine
    artifact_location: str | None  # of experiments that are created here; None: below that of MLflow's store

    def store(self) -> Any:
        """Return MLflow's own store for this database; the first call opens it, and makes tables in an empty one."""

    def changing(self) -> AbstractContextManager[None]:
        """Let the block change something through MLflow's store. Raises NothingDone if that is impossible now."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Read in one transaction."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Write in one transaction: all of it, or nothing."""

    def close(self) -> None:
        """Close connections."""
