"""
Queries of people and deliveries to the store.

Each answer is read in one snapshot. All methods raise StoreUnavailable while PostgreSQL is away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from consumers.store.limited import LimitedConnection
from consumers.store.pool import Database, PooledConnection, open_database
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.filter_terms import All, Compare, Key, Node, Order, Value
from consumers.store.statements import sql
from schemas.api import RunSummary, SeriesPage
from schemas.facts import Point
from schemas.runlog import LOST_AFTER_S, RunLog
from schemas.values import Typed


class StoreReader:
    """Queries to the store. Several tasks may use one instance at once."""

    def __init__(
        self, database: Database, *, lost_after_s: float = LOST_AFTER_S, experiments: Sequence[str] | None = None
    ) -> None:
        """`experiments`: the names of those whose runs are seen; None: all."""
        self._database, self._lost_after_s, self._experiments = database, lost_after_s, experiments

    @classmethod
    async def open(cls, dsn: str, *, size: int = 4, lost_after_s: float = LOST_AFTER_S) -> StoreReader:
        """Connect. Raises StoreUnavailable and StoreRefused."""
        return cls(await open_database(dsn, size=size), lost_after_s=lost_after_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._database.close()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Yield a snapshot of the store: several queries see the same instant."""
        async with (
            self._database.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(sql("hold_points"))
            if self._experiments is None:
                yield Snapshot(connection, self._lost_after_s)
                return
            limited = LimitedConnection(connection)
            await limited.limit(self._experiments)
            yield Snapshot(cast(PooledConnection, limited), self._lost_after_s)

    def limited(self, experiments: Iterable[str]) -> StoreReader:
        """Return a reader that sees only runs of experiments with these names."""
        return StoreReader(self._database, lost_after_s=self._lost_after_s, experiments=sorted(experiments))

    async def ping(self) -> None:
        """Return if PostgreSQL answers and has tables; otherwise raise."""
        async with self._database.acquire() as connection:
            await connection.fetchval(sql("ping"))

    # Single queries, each in its own snapshot.

    async def runs(
        self,
        *,
        limit: int = 200,
        group: str | None = None,
        state: str | None = None,
        filter: Node = All(()),  # noqa: B008 -- a value that never changes
        order: Order | None = None,
    ) -> list[RunSummary]:
        """Return the runs that `filter` matches, in this order; by default all, newest first."""
        async with self.snapshot() as now:
            return (await now.runs(filter=narrow(filter, group, state), order=order, limit=limit)).runs

    async def run_ids(self, *, group: str | None = None) -> list[str]:
        """Return the ids of all runs, or of one group, oldest first."""
        async with self.snapshot() as now:
            return await now.run_ids(group=group)

    async def run_log(self, run_id: str, *, max_points: int = 10_000) -> RunLog | None:
        """Return the run log, with at most the last `max_points` of each series; None for an unknown run."""
        async with self.snapshot() as now:
            return await now.run_log(run_id, max_points=max_points)

    async def series(self, run_id: str, *, names: list[str] | None = None, buckets: int = 1_000) -> SeriesPage | None:
        """Return the series of a run (all, or those with these written names), None for an unknown run."""
        async with self.snapshot() as now:
            return await now.series(run_id, names=names, buckets=buckets)

    async def points(self, run_id: str) -> AsyncIterator[Point]:
        """Yield all points of a run, superseded attempts included, chunk by chunk."""
        async with self.snapshot() as now:
            async for point in now.points(run_id):
                yield point

    async def dropped_counts(self, run_id: str) -> dict[str, int] | None:
        """Return how many points each written series had when retention dropped them; None if they are kept."""
        async with self.snapshot() as now:
            return await now.dropped_counts(run_id)

    async def params(self, run_id: str) -> dict[str, Typed]:
        """Return the value of each parameter of a run that counts, see schemas/params.py."""
        async with self.snapshot() as now:
            return await now.params(run_id)

    async def offsets(self, consumer: str, topic: str) -> dict[int, int]:
        """Return the next offset of each partition that this consumer reads."""
        async with self.snapshot() as now:
            return await now.offsets(consumer, topic)


def narrow(filter: Node, group: str | None, state: str | None, stage: str | None = None) -> Node:
    """Return `filter` restricted to a group, a state and a lifecycle stage, if given."""
    keys = (Key("text", "group"), group), (Key("state", "state"), state), (Key("text", "lifecycle_stage"), stage)
    given: list[tuple[Key, str | None]] = list(keys)
    more = [Compare(key, "in", (Value(None, text),)) for key, text in given if text is not None]
    return All((filter, *more)) if more else filter
