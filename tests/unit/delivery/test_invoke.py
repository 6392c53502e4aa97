from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from consumers.delivery.dispatch.checkpoints import GroupCommit
from consumers.delivery.dispatch.invoke import TrackerInvoker
from consumers.log.record import Record
from consumers.store.delivery.checkpoints import Checkpoint
from consumers.trackers.protocol import NothingTracker, State
from schemas.wire import Envelope, encode
from tests.support.log_author import Author


def records(count: int, first: int = 0) -> list[Record]:
    author = Author("a")
    envelopes = [author.metrics("loss", [1.0, 2.0]) for _ in range(count)]
    made = [encode(envelope) for envelope in envelopes]
    return [Record("t", 0, first + i, one.key, one.value, tuple(one.headers), 0) for i, one in enumerate(made)]


class Asking(NothingTracker):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], int]] = []

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        self.calls.append(([envelope.seq for envelope in envelopes], in_doubt))
        return {"seen": len(envelopes)}


def test_a_first_call_is_in_no_doubt() -> None:
    tracker = Asking()

    result = TrackerInvoker(tracker).deliver("a", records(3), Checkpoint(attempt=1))

    assert tracker.calls == [([0, 1, 2], 0)]
    assert (result.points, result.redelivered) == (6, 0)
    assert (result.progress.next_offset, result.progress.attempt, result.progress.state) == (3, 0, {"seen": 3})


def test_a_tracker_is_told_which_batches_a_call_without_result_had() -> None:
    tracker = Asking()

    TrackerInvoker(tracker).deliver("a", records(5), Checkpoint(attempt=2, doubt_to=2))

    assert tracker.calls == [([0, 1, 2, 3, 4], 2)]


def test_a_range_in_doubt_that_is_cut_elsewhere_stays_in_doubt_behind_the_cut() -> None:
    tracker = Asking()
    invoker = TrackerInvoker(tracker)

    first = invoker.deliver("a", records(5)[:2], Checkpoint(attempt=2, doubt_to=4))
    second = invoker.deliver("a", records(5)[2:], first.progress)

    assert tracker.calls == [([0, 1], 2), ([2, 3, 4], 2)]
    assert (first.progress.doubt_to, second.progress.doubt_to) == (4, 0)


def test_a_tracker_that_never_asks_is_called_without_the_word() -> None:
    result = TrackerInvoker(NothingTracker()).deliver("a", records(1), Checkpoint(attempt=2, doubt_to=1))

    assert result.progress.next_offset == 1


async def test_what_comes_while_a_write_is_under_way_goes_out_together() -> None:
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


async def test_each_of_a_group_learns_that_it_failed_and_may_ask_again() -> None:
    answers: Iterator[int] = iter([0, 1])

    async def write(group: Sequence[int]) -> int:
        return 1 // next(answers)

    commit = GroupCommit[int, int](write)
    with pytest.raises(ZeroDivisionError):
        await commit.submit(1)

    assert await commit.submit(1) == 1
