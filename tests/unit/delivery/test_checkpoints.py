"""Group commit: what is submitted during a write is written together by the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from consumers.delivery.dispatch.checkpoints import GroupCommit


async def test_items_submitted_during_a_write_are_written_together() -> None:
    begun, gate, groups = asyncio.Event(), asyncio.Event(), list[list[int]]()

    async def write(group: Sequence[int]) -> int:
        groups.append(list(group))
        begun.set()
        await gate.wait()
        return sum(group)

    commit = GroupCommit[int, int](write)
    first = asyncio.create_task(commit.submit(1))
    await begun.wait()
    rest = [asyncio.create_task(commit.submit(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    gate.set()

    assert (await first, await asyncio.gather(*rest)) == (1, [5, 5])
    assert groups == [[1], [2, 3]]


async def test_each_caller_of_a_group_gets_its_error_and_may_submit_again() -> None:
    answers: Iterator[int] = iter([0, 1])

    async def write(group: Sequence[int]) -> int:
        return 1 // next(answers)

    commit = GroupCommit[int, int](write)
    with pytest.raises(ZeroDivisionError):
        await commit.submit(1)

    assert await commit.submit(1) == 1
