"""`gateway rebuild` as a process, and queries of the tables that it writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.gateway_command import COMMAND, gateway_with
from tests.support.gateway_command import environment as command_environment
from tests.support.materialiser_process import dump, until
from tests.support.python_process import PythonProcess

SIDE = "gateway_rebuild"


def rebuild(variables: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run `gateway rebuild` to its end."""
    return gateway_with(_settings(variables), "rebuild", *options)


def facts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON that it printed."""
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@asynccontextmanager
async def connected(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to a database."""
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


class RunningCommand:
    """A rebuild, or another command, as a process."""

    def __init__(self, variables: dict[str, str], *options: str, command: Sequence[str] = ("rebuild",)) -> None:
        self.process = PythonProcess(
            [*COMMAND, *command, *options],
            env=command_environment(**_settings(variables)),
            cwd=Path(sys.prefix),
        )

    def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        """Return exit status, stdout and stderr."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


@contextmanager
def running(
    variables: dict[str, str], *options: str, command: Sequence[str] = ("rebuild",)
) -> Iterator[RunningCommand]:
    """Yield a rebuild, or another command, that has started; kill it when the block ends."""
    one = RunningCommand(variables, *options, command=command)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


async def stop_in_the_middle(database: str, one: RunningCommand, records: int) -> int:
    """Stop a rebuild (SIGSTOP) when it has folded some but not all records; return their number."""

    async def begun() -> bool:
        assert one.process.poll() is None, one.end()
        return await side_folded(database) > 0

    await until(begun, "the rebuild folds")
    one.process.send_signal(signal.SIGSTOP)
    done = await side_folded(database)
    assert done < records
    return done


async def side_folded(database: str) -> int:
    """Return how many records a rebuild has folded; 0 before it has started."""
    try:
        rows = await execute(database, f"SELECT sum(next_offset) FROM {SIDE}.consumer_offsets")
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return 0
    return int(rows[0][0] or 0)


async def has_side(database: str) -> bool:
    """Return whether the tables of a rebuild exist."""
    return bool(await execute(database, "SELECT FROM pg_namespace WHERE nspname = $1", SIDE))


async def folded_rows(database: str) -> dict[str, list[str]]:
    """Return every row that comes from the log, and the offsets up to which it is folded."""
    return {name: rows for name, rows in (await dump(database)).items() if name != "dead_letters_published"}


async def execute(database: str, statement: str, *values: object) -> list[Any]:
    """Execute one statement on a new connection and return its rows."""
    connection = await asyncpg.connect(database)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


def _settings(variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith("GATEWAY_")}
