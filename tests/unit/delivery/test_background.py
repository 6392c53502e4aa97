"""Tasks that run in the background end with the work that they belong to."""

from __future__ import annotations

import asyncio

import pytest

from consumers.delivery.background import background, cancel_all


async def until_cancelled(begun: asyncio.Event, ended: asyncio.Event) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


async def test_background_work_ends_with_the_block_even_if_the_block_raises() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        async with background(until_cancelled(begun, ended)):
            await begun.wait()
            raise ValueError("the block")

    with pytest.raises(ValueError, match="the block"):
        await block()

    await asyncio.wait_for(ended.wait(), 5)


async def test_all_tasks_have_ended_when_their_cancellation_returns() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(until_cancelled(begun, ended))
    await begun.wait()

    await cancel_all([task])

    assert (task.cancelled(), ended.is_set()) == (True, True)
