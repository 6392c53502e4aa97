"""Calls to a tracker with a timeout: a caller that gave a call up gets nothing more from it."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

from consumers.delivery.plugins.watchdog import BoundedCalls


async def test_a_call_that_fails_after_its_caller_was_cancelled_is_reported_nowhere() -> None:
    begun, let_go, reported = threading.Event(), threading.Event(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    calls = BoundedCalls("test", 1, 60.0)

    def fails() -> None:
        begun.set()
        let_go.wait()
        raise ValueError("too late")

    waiting = asyncio.create_task(calls.call(fails, "a call"))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    let_go.set()
    assert await calls.call(lambda: "the next", "a call") == "the next"  # the one thread is done with the first
    del waiting  # a future reports an error that was never retrieved when it is deleted
    gc.collect()

    calls.close()
    assert reported == []
