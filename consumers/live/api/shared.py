"""
One answer for everyone who asks the same at about the same time.

However many pages poll a question, it is asked once; and one that takes long is asked less often, so that it costs the
service that answers it about SHARE of its time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
SHARE = 0.05


class Shared(Generic[T]):
    """A question whose answer several requests share. Used from one event loop."""

    def __init__(self, ask: Callable[[], Awaitable[T]], *, age_s: float, longest_s: float) -> None:
        """Ask with `ask`; an answer serves for `age_s` seconds, one that took long up to `longest_s`, an error once."""
        self._ask, self._age_s, self._longest_s = ask, age_s, longest_s
        self._asking: asyncio.Task[T] | None = None
        self._expires = 0.0

    async def get(self) -> T:
        """Return the answer. Raises what `ask` raises."""
        if self._asking is None or (self._asking.done() and time.monotonic() >= self._expires):
            self._asking = asyncio.create_task(self._timed())
        return await asyncio.shield(self._asking)  # one request that ends must not end the question of the others

    async def _timed(self) -> T:
        started = time.monotonic()
        self._expires = started
        answer = await self._ask()
        now = time.monotonic()
        self._expires = now + max(self._age_s, min(self._longest_s, (now - started) / SHARE))
        return answer
