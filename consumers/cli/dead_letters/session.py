"""
Ask PostgreSQL about dead letters from a command: one connection, one question, one answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from consumers.cli.output import say
from schemas.errors import LogUnavailable, StoreUnavailable
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.deadletters.resolution import Outcome
    from consumers.store.dead_letters import DeadLetters

T = TypeVar("T")


def ask(settings: Settings, question: Callable[[DeadLetters], Awaitable[T]]) -> T:
    """Return the answer. Raises StoreUnavailable, StoreRefused and what the question raises."""

    async def answer() -> T:
        async with _letters(settings) as letters:
            return await question(letters)

    return asyncio.run(answer())


def carry_out(settings: Settings, work: Callable[[DeadLetters], Awaitable[None]], outcomes: list[Outcome]) -> None:
    """Do what was decided; when a service goes away, say first what of it is done. Raises what ended it."""
    try:
        ask(settings, work)
    except (LogUnavailable, StoreUnavailable):
        done = sum(outcome.result == "done" for outcome in outcomes)
        say(f"cut off after {done}; what was done is remembered, so the same command goes on with the rest")
        raise


@asynccontextmanager
async def _letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    from consumers.store.dead_letters import DeadLetters
    from consumers.store.pool import open_database

    dsn = settings.need("postgres").strip()
    database = await open_database(dsn, size=1)
    try:
        yield DeadLetters(database)
    finally:
        database.terminate()
