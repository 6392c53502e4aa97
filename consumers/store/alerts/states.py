"""
What the alerts process knows and says: loaded by run, and written with its offsets in one transaction.

The offset row of the consumer `alerts` moves by compare-and-set in the transaction of everything that the records
below it caused: states, firings and messages. So each firing is stored exactly once, whenever the process is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import md5
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from consumers.store.fencing import Fenced
from consumers.store.pool import Database, PooledConnection, is_open, translated
from consumers.store.statements import sql

ALERTS = "alerts"  # name of the consumer
LEASE_POLL_S = 0.5
MAX_MESSAGE = 2_000  # characters
_TAKEN_OVER = "another process evaluates alerts: stop one of them"


class RunRow(NamedTuple):
    """A run as it is stored; `facts` is None where they are as before."""

    run_id: str
    partition: int
    facts: Mapping[str, Any] | None
    progress: Mapping[str, Any]
    is_open: bool


class SeriesRow(NamedTuple):
    """A series of a run; `state` is None where nothing is kept of it."""

    run_id: str
    series: str
    state: Mapping[str, Any] | None


class FiringRow(NamedTuple):
    """A firing that begins."""

    alert_id: UUID
    rule_id: str
    version: int
    name: str
    severity: str
    targets: Sequence[str]
    run_id: str
    series: str
    fired: int  # µs
    step: int | None
    value: float | None
    message: str


class Resolution(NamedTuple):
    """A firing that is resolved."""

    alert_id: UUID
    resolved: int  # µs
    why: str


class Move(NamedTuple):
    """The offset of a partition before and after some records, and the broker's time of the last, ms."""

    expected: int
    following: int
    last_time_ms: int | None  # None: not known


class Batch(NamedTuple):
    """What one transaction writes."""

    moves: Mapping[int, Move]
    runs: Sequence[RunRow]
    series: Sequence[SeriesRow]
    told: Sequence[FiringRow | Resolution]  # in the order in which they came
    default_targets: Sequence[str]


class AlertStates:
    """The rows of the alerts process. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database, topic: str) -> None:
        self._database, self._topic = database, topic

    async def load(self, run_ids: Collection[str]) -> tuple[list[RunRow], list[SeriesRow]]:
        """Return what is known of these runs, as far as they have rows."""
        async with self._database.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            runs = await connection.fetch(sql("load_alert_runs"), list(run_ids))
            series = await connection.fetch(sql("load_alert_series"), [row["run_id"] for row in runs])
        return (
            [RunRow(row["run_id"], row["partition"], row["facts"], row["progress"], True) for row in runs],
            [SeriesRow(row["run_id"], row["series"], row["state"]) for row in series],
        )

    async def open_runs(self, after: str, limit: int) -> list[str]:
        """Return a page of the runs for which a rule may fire without a record, by id."""
        async with self._database.acquire() as connection:
            return [row["run_id"] for row in await connection.fetch(sql("open_alert_runs"), after, limit)]

    async def commit(self, batch: Batch) -> None:
        """Write a batch, or nothing. Raises Fenced when another process has moved an offset."""
        async with self._database.acquire() as connection, connection.transaction():
            if batch.moves:
                columns = [list(column) for column in zip(*batch.moves.values(), strict=True)]
                moved = await connection.fetch(sql("move_offsets"), ALERTS, self._topic, list(batch.moves), *columns)
                if len(moved) < len(batch.moves):
                    raise Fenced(_TAKEN_OVER)
            await _save_runs(connection, batch.runs)
            await _save_series(connection, batch.series)
            await _tell(connection, batch.told, batch.default_targets)

    async def skip(self, known: Mapping[int, int], starts: Mapping[int, int]) -> None:
        """Move offsets past records that the log has lost. Raises Fenced."""
        moves = {part: Move(at, starts[part], None) for part, at in known.items() if starts[part] > at}
        await self.commit(Batch(moves, (), (), (), ()))

    async def resolve_other_rules(
        self, evaluated: Mapping[str, int], time: int, default_targets: Sequence[str], offsets: Mapping[int, int]
    ) -> int:
        """
        Resolve, at `time` (µs), what other rules than these, by id and version, have fired; return how many.

        Raises Fenced when another process has moved one of the offsets: it may evaluate other rules.
        """
        async with self._database.acquire() as connection, connection.transaction():
            stands = list(offsets), list(offsets.values())
            if len(await connection.fetch(sql("hold_alert_offsets"), ALERTS, self._topic, *stands)) < len(offsets):
                raise Fenced(_TAKEN_OVER)
            columns = list(evaluated), list(evaluated.values())
            rows = await connection.fetch(sql("resolve_other_rules"), *columns, time)
            found = [row["alert_id"] for row in rows]
            await connection.execute(sql("fill_outbox"), found, ["resolved"] * len(found), list(default_targets))
        return len(found)

    @asynccontextmanager
    async def lease(self, report: Callable[[str], object]) -> AsyncIterator[Callable[[], bool]]:
        """
        Be the only process that evaluates and sends; while another one does, wait, and report that once.

        Yields what tells whether the lease is lost. Without it two processes would fence each other by turns.
        """
        async with translated(self._database.address):
            connection = await self._database.pool.acquire()
        try:
            reported = False
            while True:
                async with translated(self._database.address):
                    if await connection.fetchval(sql("try_lease"), ALERTS):
                        break
                if not reported:
                    report("another process evaluates alerts: waiting for its end")
                    reported = True
                await asyncio.sleep(LEASE_POLL_S)
            yield lambda: not is_open(connection)
        finally:
            with suppress(Exception):  # the session ends either way, and the lease with it
                connection.terminate()
                await self._database.pool.release(connection)


async def _save_runs(connection: PooledConnection, runs: Sequence[RunRow]) -> None:
    whole = [row for row in runs if row.facts is not None]
    if whole:
        await connection.execute(
            sql("save_alert_facts"), [row.run_id for row in whole], [row.partition for row in whole],
            [_text(row.facts) for row in whole], [_text(row.progress) for row in whole], [row.is_open for row in whole],
        )  # fmt: skip
    rest = [row for row in runs if row.facts is None]
    if rest:
        texts = [_text(row.progress) for row in rest]
        columns = [row.run_id for row in rest], texts, [row.is_open for row in rest]
        await connection.execute(sql("save_alert_progress"), *columns)


async def _save_series(connection: PooledConnection, series: Sequence[SeriesRow]) -> None:
    kept = [row for row in series if row.state is not None]
    if kept:
        await connection.execute(
            sql("save_alert_series"), [row.run_id for row in kept], [_series_id(row.series) for row in kept],
            [row.series for row in kept], [_text(row.state) for row in kept],
        )  # fmt: skip
    empty = [row for row in series if row.state is None]
    if empty:
        columns = [row.run_id for row in empty], [_series_id(row.series) for row in empty]
        await connection.execute(sql("forget_alert_series"), *columns)


async def _tell(
    connection: PooledConnection, told: Sequence[FiringRow | Resolution], default_targets: Sequence[str]
) -> None:
    if not told:
        return
    fired = [
        one._replace(targets=_text(list(one.targets)), message=one.message[:MAX_MESSAGE])
        for one in told
        if isinstance(one, FiringRow)
    ]
    resolved = [one._replace(why=one.why[:MAX_MESSAGE]) for one in told if isinstance(one, Resolution)]
    if fired:
        await connection.execute(sql("save_firings"), *[list(column) for column in zip(*fired, strict=True)])
    if resolved:
        await connection.execute(sql("resolve_firings"), *[list(column) for column in zip(*resolved, strict=True)])
    events = ["fired" if isinstance(one, FiringRow) else "resolved" for one in told]
    await connection.execute(sql("fill_outbox"), [one.alert_id for one in told], events, list(default_targets))


def _series_id(written: str) -> UUID:
    return UUID(bytes=md5(written.encode(), usedforsecurity=False).digest())


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
