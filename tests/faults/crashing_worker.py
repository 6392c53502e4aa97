"""
The materialiser, killed at a named point: CRASH_AT=before-commit:7 means the seventh time that it reaches the point.
CRASH_AT=before-commit:7:pause stops it there with SIGSTOP instead, so that a test can wake it later.

Tests run this file instead of `python -m consumers.materialiser`. The points are calls to PostgreSQL and Kafka, wrapped
from outside: the product has no switch that could be left on, and however its code is arranged, a COPY stays a COPY and
a COMMIT a COMMIT. The process dies by SIGKILL, so that it cannot clean up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg

BEFORE_COPY, DURING_COPY, AFTER_COPY = "before-copy", "during-copy", "after-copy"
BEFORE_COMMIT, DURING_COMMIT, AFTER_COMMIT = "before-commit", "during-commit", "after-commit"
DURING_DEAD_LETTERS = "during-dead-letters"
REVOKED, ASSIGNED = "partitions-revoked", "partitions-assigned"
WRITING = (BEFORE_COPY, DURING_COPY, AFTER_COPY, BEFORE_COMMIT, DURING_COMMIT, AFTER_COMMIT, DURING_DEAD_LETTERS)
REBALANCING = (REVOKED, ASSIGNED)
POINTS = WRITING + REBALANCING
VARIABLE = "CRASH_AT"
_TABLES = {"chunks": (BEFORE_COPY, DURING_COPY, AFTER_COPY), "dead_letters": ("", DURING_DEAD_LETTERS, "")}


class Crash:
    """The point at which to die, and how many times it may still be passed."""

    def __init__(self, wanted: str) -> None:
        self.point, times, how = (*wanted.split(":", 2), "", "")[:3]
        if self.point not in POINTS or not times.isdecimal() or int(times) < 1 or how not in ("", "pause"):
            raise SystemExit(
                f"{VARIABLE}={wanted} is no point: write NAME:TIMES[:pause], NAME one of {', '.join(POINTS)}"
            )
        self.left = int(times)
        self.signal = signal.SIGSTOP if how else signal.SIGKILL

    def reach(self, point: str) -> None:
        """Die if this is the point and its count has been reached."""
        if self.comes(point):
            self.die(point)

    def die(self, point: str) -> None:
        """Log one line with the point, then die, or stop, as after a power failure."""
        os.write(2, f"{'paused' if self.signal == signal.SIGSTOP else 'killed'} at {point}\n".encode())
        os.kill(os.getpid(), self.signal)

    def comes(self, point: str) -> bool:
        """Count this pass and return whether to die now."""
        if point == self.point:
            self.left -= 1
        return point == self.point and self.left == 0


def hold_copies(crash: Crash) -> None:
    """Add the points around every COPY of metric points and of dead letters."""
    to_table, records_to_table = asyncpg.Connection.copy_to_table, asyncpg.Connection.copy_records_to_table

    async def copy_to_table(self: Any, table_name: str, *, source: Any, **options: Any) -> Any:
        before, during, after = _TABLES.get(table_name, ("", "", ""))
        crash.reach(before)
        cut = _cut_stream(source, during, crash) if crash.comes(during) else source
        done = await to_table(self, table_name, source=cut, **options)
        crash.reach(after)
        return done

    async def copy_records_to_table(self: Any, table_name: str, *, records: Any, **options: Any) -> Any:
        before, during, after = _TABLES.get(table_name, ("", "", ""))
        crash.reach(before)
        cut = _cut_rows(records, during, crash) if crash.comes(during) else records
        done = await records_to_table(self, table_name, records=cut, **options)
        crash.reach(after)
        return done

    asyncpg.Connection.copy_to_table = copy_to_table  # type: ignore[method-assign]  # replaced on purpose
    asyncpg.Connection.copy_records_to_table = copy_records_to_table  # type: ignore[method-assign]


def hold_commits(crash: Crash) -> None:
    """Add the points around every COMMIT of a transaction that moved an offset."""
    execute, fetch, fetchval = asyncpg.Connection.execute, asyncpg.Connection.fetch, asyncpg.Connection.fetchval
    moved: set[Any] = set()

    def note(connection: Any, query: str) -> None:
        if "UPDATE consumer_offsets" in query:
            moved.add(connection)

    async def held_execute(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        note(self, query)
        if query != "COMMIT;" or self not in moved:
            return await execute(self, query, *arguments, **options)
        moved.discard(self)
        crash.reach(BEFORE_COMMIT)
        if crash.comes(DURING_COMMIT):
            sending = asyncio.ensure_future(execute(self, query))
            await asyncio.sleep(0)  # it is sent, and the process does not see the answer
            crash.die(DURING_COMMIT)
            await sending
            return "COMMIT"
        done = await execute(self, query)
        crash.reach(AFTER_COMMIT)
        return done

    async def held_fetch(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        note(self, query)
        return await fetch(self, query, *arguments, **options)

    async def held_fetchval(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        note(self, query)
        return await fetchval(self, query, *arguments, **options)

    asyncpg.Connection.execute = held_execute  # type: ignore[method-assign]
    asyncpg.Connection.fetch = held_fetch  # type: ignore[method-assign]
    asyncpg.Connection.fetchval = held_fetchval  # type: ignore[method-assign]


def hold_rebalances(crash: Crash) -> None:
    """Add the points where partitions are revoked, and where they are assigned but not yet read."""
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    prepare, complete = GroupCoordinator._on_join_prepare, GroupCoordinator._on_join_complete

    async def held_prepare(self: Any, *arguments: Any, **options: Any) -> Any:
        done = await prepare(self, *arguments, **options)
        crash.reach(REVOKED)
        return done

    async def held_complete(self: Any, *arguments: Any, **options: Any) -> Any:
        crash.reach(ASSIGNED)
        return await complete(self, *arguments, **options)

    GroupCoordinator._on_join_prepare, GroupCoordinator._on_join_complete = held_prepare, held_complete


async def _cut_stream(source: Any, point: str, crash: Crash) -> AsyncIterator[bytes]:
    async for piece in source:
        yield piece[: len(piece) // 2]
        await asyncio.sleep(0)
        crash.die(point)


def _cut_rows(rows: Any, point: str, crash: Crash) -> Iterator[Any]:
    for row in rows:
        yield row
        crash.die(point)


if __name__ == "__main__":
    crash = Crash(os.environ[VARIABLE])
    hold_copies(crash)
    hold_commits(crash)
    hold_rebalances(crash)
    sys.argv = sys.argv[:1]
    from consumers.materialiser.__main__ import main

    main()
