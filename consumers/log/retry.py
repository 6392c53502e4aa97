"""
Wait for a service that is away, and report it once.

An outage never ends one of our processes: lag grows, and work continues where it stopped when the service is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schemas.errors import Unavailable

T = TypeVar("T")
RETRY_S = 0.2


async def until_available(attempt: Callable[[], Awaitable[T]], report: Callable[[str], object]) -> T:
    """Repeat `attempt` while it raises Unavailable, and return its result. Any other exception is passed on."""
    reported = False
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            if not reported:
                report(f"{error}: waiting for it")
                reported = True
            await asyncio.sleep(RETRY_S)
