"""
Wait for services that are away, saying so once, and once that they are back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import StoreUnavailable

T = TypeVar("T")
log = logging.getLogger("consumers.delivery")

STORE_RETRY_S = 0.2


class Patience:
    """Which services of one delivery are away."""

    def __init__(self, watch: DeliveryWatch) -> None:
        self._watch = watch
        self._down: set[str] = set()

    async def store(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask PostgreSQL until it answers: what a tracker took must be written down before anything else happens."""
        while True:
            try:
                answer = await ask()
            except StoreUnavailable as error:
                self._watch.waiting(str(error))
                self.down("store", f"{error}: waiting for it")
                await asyncio.sleep(STORE_RETRY_S)
            else:
                self.up("store", "PostgreSQL is back")
                return answer

    def down(self, service: str, text: str) -> None:
        """Say that a service is away, unless that was said."""
        if service not in self._down:
            self._down.add(service)
            log.warning("%s", text)

    def up(self, service: str, text: str) -> bool:
        """Say that a service is back; return whether it was away."""
        if service not in self._down:
            return False
        self._down.discard(service)
        log.info("%s", text)
        return True
