"""
The history of a run for a tracker, from PostgreSQL: frozen once, read from any position, then replaced by the log.

`freeze` reads, in one snapshot, everything folded of a run and the log offset up to which it is folded, and copies it
in the order of delivery into rows that never change. A delivery after a crash is therefore the same as before it, even
if records arrived late or the run was renamed, deleted or dropped by retention meanwhile: the log holds all of that
after the offset. Positions in a history are offsets from HISTORY on, above all offsets of a log, so checkpoints,
intents and doubts of the delivery keep their meaning. `leave` sets the run's checkpoint to the log's offset, with the
folded numbers of each producer, and deletes the rows, in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from consumers.log.dedup import Ledger
from consumers.store.codec.chunks import columns_of
from consumers.store.fencing import Fenced
from consumers.store.pool import Database, PooledConnection, from_jsonb
from consumers.store.statements import sql
from schemas.columns import dump_floats, float_column

HISTORY = 2**62  # offsets from here on are positions in a history
FREEZE_TIMEOUT_S = 86_400.0  # copying a hundred million points takes minutes, and must not start over


class IncompleteRun(NamedTuple):
    """A run whose records the log no longer holds completely, for one tracker."""

    run_id: str
    partition: int
    is_begun: bool  # the tracker has, or may have, a part of it, which must be removed before the run is sent again
    is_dropped: bool  # PostgreSQL no longer has its points


class FrozenHistory(NamedTuple):
    """A history that is being delivered."""

    partition: int
    next_offset: int  # of the log, from which delivery continues after the history
    places: int
    dropped_points: int  # that no longer exist anywhere
    is_removal: bool

    @property
    def producer(self) -> str:
        """Producer id under which its events are numbered."""
        return f"postgresql-{'removal-' if self.is_removal else ''}{self.next_offset}"


class PlannedHistory(NamedTuple):
    """What a backfill would deliver of a run."""

    run_id: str
    partition: int
    is_begun: bool
    points: int
    dropped_points: int  # that no longer exist anywhere


class RunEvents(NamedTuple):
    """Events of a run before and after its points."""

    beginning: Sequence[Mapping[str, Any]]
    ending: Sequence[Mapping[str, Any]]


class RunSnapshotRows(NamedTuple):
    """All rows of one run except its points and other large tables."""

    run: Any
    steps: Sequence[Any]
    attempts: Sequence[Any]
    params: Sequence[Any]
    tags: Sequence[Any]
    labels: Sequence[Any]
    artifacts: Sequence[Any]
    code: Sequence[Any]
    definitions: Sequence[Any] = ()


EventsOf = Callable[
    [RunSnapshotRows, bool], RunEvents
]  # arguments: the rows of a run, and whether it must be removed first


class Histories:
    """Histories for one tracker. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database, tracker: str, topic: str, folder: str) -> None:
        """Serve `tracker`; `folder` is the consumer whose offsets state how far PostgreSQL has folded the log."""
        self._database, self._tracker, self._topic, self._folder = database, tracker, topic, folder

    async def folded(self) -> dict[int, int]:
        """Return the offsets up to which PostgreSQL has folded the log, by partition."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("load_offsets"), self._folder, self._topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def claim(self, since: Mapping[int, int], below: Mapping[int, int]) -> None:
        """Mark runs with records in these ranges of lost offsets for rereading, if the tracker lacks those records."""
        lost = [list(column) for column in zip(*((part, since[part], below[part]) for part in below), strict=True)]
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(sql("claim_new_runs"), self._tracker, self._topic, *lost)
            await connection.execute(sql("claim_known_runs"), self._tracker, *lost)

    async def losses(self, wanted: Mapping[str, tuple[int, int]], first: Mapping[int, int]) -> list[IncompleteRun]:
        """Return those wanted runs (partition, next offset) whose next records lie before the log's `first` offset."""
        asked = [(run, part, offset, first[part]) for run, (part, offset) in wanted.items()]
        columns = [list(column) for column in zip(*asked, strict=True)] or [[], [], [], []]
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("runs_with_losses"), self._tracker, *columns)
        return [IncompleteRun(**row) for row in rows]

    async def without_points(self, run_ids: Sequence[str]) -> set[str]:
        """Return those of these runs whose points PostgreSQL no longer has."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("runs_without_points"), list(run_ids))
        return {row["run_id"] for row in rows}

    async def freeze(self, lost: IncompleteRun, below: int, make_events: EventsOf) -> FrozenHistory | None:
        """
        Create the history of a run from everything folded of it, in one snapshot, and return it.

        Returns None if that is not possible now: the run is parked, or PostgreSQL has not folded the log up to `below`.
        """
        async with (
            self._database.acquire() as connection,
            connection.transaction(isolation="repeatable_read"),
        ):
            await connection.execute(sql("hold_points"))
            rows = await connection.fetch(sql("load_offsets"), self._folder, self._topic)
            at = {row["partition"]: row["next_offset"] for row in rows}.get(lost.partition, 0)
            if at < below:
                return None
            return await self._freeze(connection, lost, at, make_events)

    async def _freeze(
        self,
        connection: PooledConnection,
        lost: IncompleteRun,
        at: int,
        make_events: EventsOf,
    ) -> FrozenHistory | None:
        mine = self._tracker, lost.run_id
        dropped = 0 if lost.is_begun else await connection.fetchval(sql("points_lost_by_retention"), lost.run_id)
        if await connection.fetchval(sql("enter_history"), *mine, HISTORY, dropped) is None:
            return None
        await connection.execute(sql("clear_history"), *mine, timeout=FREEZE_TIMEOUT_S)
        events = make_events(await _rows(connection, lost.run_id), lost.is_begun)
        places = await self._add(connection, "freeze_events", lost, 0, list(map(json.dumps, events.beginning)))
        for name in ("freeze_points", "freeze_observations", "freeze_console_lines"):
            places += 0 if lost.is_begun else await self._add(connection, name, lost, places)
        places += await self._add(connection, "freeze_events", lost, places, list(map(json.dumps, events.ending)))
        frozen = FrozenHistory(lost.partition, at, places, dropped, lost.is_begun)
        ledgers = await _ledgers(connection, lost.run_id)
        await connection.execute(sql("keep_history"), *mine, ledgers, *frozen)
        return frozen

    async def _add(
        self, connection: PooledConnection, name: str, lost: IncompleteRun, position: int, *more: list[str]
    ) -> int:
        done = await connection.execute(
            sql(name), self._tracker, lost.run_id, position, *more, timeout=FREEZE_TIMEOUT_S
        )
        return int(done.split()[-1])  # INSERT 0 <rows>

    async def load(self, run_id: str) -> FrozenHistory | None:
        """Return the history of a run that is being delivered, None if there is none."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("load_history"), self._tracker, run_id, HISTORY)
        return FrozenHistory(**row) if row else None

    async def read(self, run_id: str, position: int, limit: int) -> list[dict[str, Any]]:
        """Return the next events of a history from `position` on, as JSON objects."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("history_rows"), self._tracker, run_id, position, limit)
        return [_event(row) for row in rows]

    async def leave(self, run_id: str) -> int:
        """End a history that is delivered completely; return the log offset to continue from. Raises Fenced."""
        async with self._database.acquire() as connection, connection.transaction():
            at = await connection.fetchval(sql("leave_history"), self._tracker, run_id, HISTORY)
            if at is None:  # the second attempt, after the connection broke during the commit
                at = await connection.fetchval(sql("left_history"), self._tracker, run_id, HISTORY)
            if at is None:
                raise Fenced(
                    f"run {run_id} was delivered to {self._tracker} by another process: stop all but one, "
                    "then start again"
                )
            await connection.execute(sql("clear_history"), self._tracker, run_id, timeout=FREEZE_TIMEOUT_S)
        return int(at)

    async def planned(
        self, run_ids: Sequence[str] | None, since: Mapping[int, int], first: Mapping[int, int]
    ) -> list[PlannedHistory]:
        """
        Return what a backfill would deliver of these runs, or of all.

        `since` is the offset up to which the tracker was delivered to, by partition; the log begins at `first`.
        """
        columns = [
            list(column) for column in zip(*((part, since.get(part, 0), at) for part, at in first.items()), strict=True)
        ]
        chosen = None if run_ids is None else list(run_ids)
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("planned_histories"), chosen, *columns, self._tracker)
        return [PlannedHistory(**row) for row in rows]

    async def dropped(self, run_ids: Sequence[str] | None = None) -> dict[str, int]:
        """Return, by run (of these or all), the points that the tracker lacks because they no longer exist anywhere."""
        chosen = None if run_ids is None else list(run_ids)
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("dropped_of_runs"), self._tracker, chosen)
        return {row["run_id"]: row["dropped_points"] for row in rows}


async def _rows(connection: PooledConnection, run_id: str) -> RunSnapshotRows:
    (run,) = await connection.fetch(sql("load_runs"), [run_id])
    names = ("steps", "attempts", "params", "tags", "run_labels", "artifacts", "code_identities", "metric_definitions")
    return RunSnapshotRows(run, *[await connection.fetch(sql(f"get_{name}"), run_id) for name in names])


async def _ledgers(connection: PooledConnection, run_id: str) -> dict[str, Any]:
    rows = await connection.fetch(sql("get_producers"), run_id)
    return {
        row["producer"]: Ledger(row["next_seq"], tuple(map(tuple, row["missing"])), row["refused"]).to_json()
        for row in rows
    }


def _event(row: Any) -> dict[str, Any]:
    event: dict[str, Any] = from_jsonb(row["event"])
    if row["points"]:
        steps, times, values = columns_of(row)
        columns = {"steps": list(steps), "times": times, "values": dump_floats(float_column(values))}
        event["series"] = [event["series"][0] | columns]
    return event
