"""
Run one question about dead letters against PostgreSQL, over a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from consumers.cli.database import connected_database
from consumers.cli.output import print_notice
from schemas.errors import LogUnavailable, StoreUnavailable
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.deadletters.resolution import Outcome
    from consumers.store.dead_letters import DeadLetters

T = TypeVar("T")


def ask(settings: Settings, question: Callable[[DeadLetters], Awaitable[T]]) -> T:
    """Return the answer to a question. Raises StoreUnavailable, StoreRefused and what the question raises."""

    async def answer() -> T:
        from consumers.store.dead_letters import DeadLetters

        async with connected_database(settings) as database:
            return await question(DeadLetters(database))

    return asyncio.run(answer())


def carry_out(settings: Settings, work: Callable[[DeadLetters], Awaitable[None]], outcomes: list[Outcome]) -> None:
    """
    Carry out decisions, which add their `outcomes` as they become certain.

    When a service goes away meanwhile, report how many decisions are done, then raise its LogUnavailable or
    StoreUnavailable.
    """
    try:
        ask(settings, work)
    except (LogUnavailable, StoreUnavailable):
        done = sum(outcome.result == "done" for outcome in outcomes)
        print_notice(f"interrupted after {done}; these are recorded, so the same command continues with the rest")
        raise
