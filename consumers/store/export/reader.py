"""
Exports within one snapshot.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from consumers.store.export.blocks import Block
from consumers.store.export.points import RunsKnown, known_runs, point_blocks
from consumers.store.export.runs import Chosen, RunColumn, StatReader, run_blocks, run_columns
from consumers.store.pool import PooledConnection
from consumers.store.read.run_documents import RunDocuments, RunsWanted


class Exports:
    """What exports read. One at a time."""

    def __init__(self, connection: PooledConnection, documents: RunDocuments, stats: StatReader) -> None:
        self._connection, self._documents, self._stats = connection, documents, stats

    async def known_runs(self, run_ids: Sequence[str]) -> RunsKnown:
        """Return which of these runs do not exist, and which have lost their points."""
        return await known_runs(self._connection, run_ids)

    def points(self, run_ids: Sequence[str], names: Sequence[str] | None, *, superseded: bool) -> AsyncGenerator[Block]:
        """Yield the points of runs, see consumers/store/export/points.py."""
        return point_blocks(self._connection, run_ids, names, superseded=superseded)

    async def run_columns(self, wanted: RunsWanted, chosen: Sequence[Chosen] | None) -> list[RunColumn]:
        """Return the columns of the runs of a search. Raises TooManyColumns."""
        return await run_columns(self._connection, self._documents, wanted, chosen)

    def runs(self, wanted: RunsWanted, columns: Sequence[RunColumn]) -> AsyncGenerator[Block]:
        """Yield a row for each run of a search."""
        return run_blocks(self._documents, self._stats, wanted, columns)
