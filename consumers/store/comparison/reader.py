"""
Comparisons of runs within one snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consumers.store.comparison.diff import Part, read_part
from consumers.store.comparison.divergence import divergence, series_names
from consumers.store.comparison.tolerance import Tolerance
from consumers.store.pool import PooledConnection
from consumers.store.statements import sql
from schemas.api.comparison import SeriesDivergence


class ComparisonReader:
    """Reads what is compared. One query at a time."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def part(self, section: str, run_id: str) -> Part:
        """Return what a run has in a section of a diff."""
        return await read_part(self._connection, section, run_id)

    async def fact_hashes(self, run_ids: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """Return a hash of each fact that is text, by run and name."""
        rows = await self._connection.fetch(sql("fact_hashes"), list(run_ids))
        return {row["run_id"]: dict(row) for row in rows}

    async def series_names(self, run_ids: Sequence[str], *, system: bool) -> list[set[str]]:
        """Return the written names of the series of each run."""
        return await series_names(self._connection, run_ids, system=system)

    async def divergence(self, run_a: str, run_b: str, series: str, tolerance: Tolerance) -> SeriesDivergence:
        """Return where a series of two runs parts."""
        return await divergence(self._connection, run_a, run_b, series, tolerance)
