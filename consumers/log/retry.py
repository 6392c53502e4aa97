"""
Wait for a service that is away, saying so once.

An outage never ends a process of ours: lag grows, and work goes on where it stopped when the service is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schemas.errors import Unavailable

T = TypeVar("T")
RETRY_S = 0.2


async def until_available(attempt: Callable[[], Awaitable[T]], say: Callable[[str], object]) -> T:
    """Return what `attempt` returns once it does not raise Unavailable any more. Anything else it raises goes on."""
    told = False
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            if not told:
                say(f"{error}: waiting for it")
                told = True
            await asyncio.sleep(RETRY_S)
