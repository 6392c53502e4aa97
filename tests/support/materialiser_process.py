"""A real materialiser as a process, for tests that kill it, pause it and count what it stored."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from consumers.store.read.reader import StoreReader
from tests.support.python_process import PythonProcess

DEADLINE_S = 150.0  # folding takes minutes when ten processes share a core; below the timeout of pytest


def environment(kafka: str, topic: str, database: str, **settings: str) -> dict[str, str]:
    """Return the environment of a process that reads `topic` and writes to `database`."""
    inherited = {
        name: value for name, value in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    }
    mine = {"kafka": kafka, "topic": topic, "dead_letter_topic": f"{topic}-dead", "postgres": database, **settings}
    return inherited | {f"GATEWAY_{name.upper()}": value for name, value in mine.items()}


class Materialiser:
    """A materialiser process and its log file. `entry`: what Python runs; `cwd`: its folder (None: that of pytest)."""

    def __init__(
        self,
        folder: Path,
        variables: dict[str, str],
        entry: Sequence[str] = ("-m", "consumers.materialiser"),
        *,
        cwd: Path | None = None,
    ) -> None:
        self.log = folder / f"materialiser-{uuid.uuid4().hex[:8]}.log"
        self.ready = self.log.with_suffix(".ready")
        variables = {**variables, "GATEWAY_READY_FILE": str(self.ready), "GATEWAY_HOME": str(folder / "home")}
        with self.log.open("wb") as out:
            self.process = PythonProcess([sys.executable, *entry], env=variables, stderr=out, stdout=out, cwd=cwd)

    def until_ready(self) -> Materialiser:
        """Return when it reads the log."""
        deadline = time.monotonic() + DEADLINE_S
        while not self.ready.exists():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, f"not ready within {DEADLINE_S} s: {self.text()}"
            time.sleep(0.02)
        return self

    def text(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(150)


@contextmanager
def materialiser(folder: Path, variables: dict[str, str]) -> Iterator[Materialiser]:
    """Yield a materialiser that reads the log; kill it when the block ends."""
    one = Materialiser(folder, variables)
    try:
        yield one.until_ready()
    finally:
        one.kill()


@asynccontextmanager
async def reading(database: str) -> AsyncIterator[StoreReader]:
    """Yield a reader of the store."""
    one = await StoreReader.open(database)
    try:
        yield one
    finally:
        await one.close()


async def until(condition: Callable[[], Awaitable[bool]], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Return when the condition holds; at the deadline fail and name it."""
    deadline = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(0.02)


async def folded(database: str, topic: str) -> int:
    """Return how many records of the topic are folded: the sum of the next offsets of all partitions."""
    connection = await asyncpg.connect(database)
    try:
        return await _folded(connection, topic)
    finally:
        await connection.close()


async def _folded(connection: asyncpg.Connection, topic: str) -> int:
    query = "SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets WHERE consumer = 'materialiser' AND topic = $1"
    try:
        return int(await connection.fetchval(query, topic))
    except asyncpg.UndefinedTableError:
        return 0


async def until_folded(database: str, topic: str, records: int, *, deadline_s: float = DEADLINE_S) -> None:
    """Return when this number of records is folded."""
    # One connection for all polls: a login takes 10 ms of a core, which the process under test needs as well.
    connections = [await asyncpg.connect(database)]

    async def all_folded() -> bool:
        try:
            return await _folded(connections[-1], topic) >= records
        except (asyncpg.InterfaceError, asyncpg.PostgresConnectionError, OSError):  # the test cut it
            connections.append(await asyncpg.connect(database))
            return False

    try:
        await until(all_folded, f"{records} records of {topic} folded", deadline_s=deadline_s)
    finally:
        for connection in connections:
            connection.terminate()


async def until_complete(store: StoreReader, run_ids: Iterable[str], producers: int = 1) -> None:
    """Return when `producers` producers of each run have reported how much they sent, and all of it is stored."""
    for run_id in run_ids:

        async def is_complete(run_id: str = run_id) -> bool:
            log = await store.run_log(run_id, max_points=1)
            parts = log.completeness if log is not None else []
            return len(parts) == producers and all(part.received == part.expected for part in parts)

        await until(is_complete, f"{producers} producers of {run_id} are stored whole")


async def dump(database: str) -> dict[str, list[str]]:
    """Return every row derived from the log, by table, as sorted text, to compare two databases."""
    connection = await asyncpg.connect(database)
    try:
        # Not dead_letters_published: how far the topic is written does not come from the log.
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_pogo%' "
            "AND tablename <> 'dead_letters_published' ORDER BY 1"
        )
        # A partition that was assigned but had no records does not come from the log either.
        folded = {"consumer_offsets": "WHERE next_offset > 0"}
        names = [row["tablename"] for row in tables]
        return {
            name: sorted(
                row[0] for row in await connection.fetch(f'SELECT t::text FROM "{name}" AS t {folded.get(name, "")}')
            )
            for name in names
        }
    finally:
        await connection.close()
