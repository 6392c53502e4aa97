"""
Tasks next to other work: they end with it, or decide when it ends.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any

DRAIN_S = 4.5  # for the calls under way, after a signal


@asynccontextmanager
async def background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """
    Run coroutines while the block runs, and cancel them at its end without waiting for them.

    An error that one of them raises ends only that one: use it for work whose failure must not stop the block.
    """
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when all have ended, whatever they raise."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_until_stopped(
    work: Coroutine[Any, Any, None], stopping: asyncio.Event, *, is_idle: Callable[[], bool]
) -> bool:
    """
    Run `work`, which ends once `stopping` is set; SIGTERM and SIGINT set it. Raises what `work` raises.

    While `is_idle`, work waits for a service and has no call under way: then a signal cancels it. Returns False when it
    has not ended DRAIN_S after a signal: the caller has to exit with `os._exit`, because a normal exit waits for the
    thread that still calls the tracker.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    working, stop = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done() and is_idle():
        working.cancel()
    done, _ = await asyncio.wait({working}, timeout=DRAIN_S)
    stop.cancel()
    if done and not working.cancelled():
        working.result()
    return bool(done)
