"""
The event loop of the shipper's thread.
"""

from __future__ import annotations

import asyncio
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ThreadlessLoop(asyncio.SelectorEventLoop):
    """
    An event loop without helper threads.

    It resolves host names in its own thread: a thread pool refuses work as soon as the interpreter begins to exit,
    which is exactly when a short script's events are sent.
    """

    async def getaddrinfo(self, host: Any, port: Any, **hints: int) -> Any:
        """Return what `socket.getaddrinfo` does."""
        return socket.getaddrinfo(host, port, **hints)
