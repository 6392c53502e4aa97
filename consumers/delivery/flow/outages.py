"""
Wait for services that are away, logging once that they are, and once that they are back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from consumers.log.retry import RETRY_S
from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import StoreUnavailable

T = TypeVar("T")
log = logging.getLogger("consumers.delivery")


class OutageNotices:
    """Which services of one delivery are away, and which of that is logged already."""

    def __init__(self, watch: DeliveryWatch) -> None:
        self._watch = watch
        self._down: set[str] = set()

    async def retry_store(self, request: Callable[[], Awaitable[T]]) -> T:
        """
        Return the answer of PostgreSQL, repeating the request while it is away.

        What a tracker has taken must be recorded before anything else happens. Other tasks may wait here at the same
        time: together they log the outage once, which is why this is not `log.retry.until_available`.
        """
        while True:
            try:
                answer = await request()
            except StoreUnavailable as error:
                self._watch.waiting(str(error))
                self.report_down("store", f"{error}: waiting for it")
                await asyncio.sleep(RETRY_S)
            else:
                self.report_back("store", "PostgreSQL is back")
                return answer

    def report_down(self, service: str, text: str) -> None:
        """Log that a service is away, unless that is logged already."""
        if service not in self._down:
            self._down.add(service)
            log.warning("%s", text)

    def report_back(self, service: str, text: str) -> bool:
        """Log that a service is back; return whether it was away."""
        if service not in self._down:
            return False
        self._down.discard(service)
        log.info("%s", text)
        return True
