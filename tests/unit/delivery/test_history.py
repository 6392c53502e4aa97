"""The histories of a delivery: their end."""

from __future__ import annotations

import asyncio
from typing import Any

from consumers.delivery.backfill.history import History
from consumers.delivery.backfill.reread import Rereads
from consumers.delivery.flow.backlog import Backlog


async def test_what_waits_for_a_request_ends_with_the_delivery() -> None:
    unused: Any = None
    backlog = Backlog({0: 0})
    rereads = Rereads("mlflow", unused, backlog, unused, unused, None)
    running = asyncio.create_task(History(backlog, unused, rereads, lambda: None).run())
    while len(asyncio.all_tasks()) < 3:  # noqa: ASYNC110 -- until it waits
        await asyncio.sleep(0)

    running.cancel()
    await asyncio.wait({running})

    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in left if not task.cancelling()] == []
