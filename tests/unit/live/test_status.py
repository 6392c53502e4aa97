"""The status of consumers: what each lag is, and one answer for all who ask."""

from __future__ import annotations

import asyncio

from consumers.live.api.shared import Shared
from consumers.live.api.status import lags
from consumers.log.watermarks import Bounds
from schemas.api import DeliveryStatus
from schemas.errors import LogUnavailable

LOG = Bounds(first={0: 0, 1: 0}, end={0: 10, 1: 5})


def tracker(name: str, *, follows: bool = True) -> DeliveryStatus:
    return DeliveryStatus(tracker=name, runs=1, parked=0, follows=follows)


def test_a_partition_without_an_offset_counts_and_a_one_off_tracker_has_no_lag() -> None:
    offsets = {"materialiser": {0: 10, 1: 5}, "delivery/mlflow": {1: 4}}
    found = lags(offsets, LOG, [tracker("mlflow"), tracker("new"), tracker("once", follows=False)])

    assert [(one.consumer, one.partition, one.offset, one.lag) for one in found] == [
        ("materialiser", 0, 10, 0),
        ("materialiser", 1, 5, 0),
        ("delivery/mlflow", 0, 0, 10),
        ("delivery/mlflow", 1, 4, 1),
        ("delivery/new", 0, 0, 10),
        ("delivery/new", 1, 0, 5),
    ]


def test_without_the_end_of_the_log_the_lag_is_unknown_and_not_0() -> None:
    found = lags({"materialiser": {0: 3}}, LogUnavailable("away"), [tracker("mlflow")])

    assert [(one.consumer, one.partition, one.offset, one.end, one.lag) for one in found] == [
        ("materialiser", 0, 3, None, None)
    ]


async def test_all_who_ask_at_once_share_one_question() -> None:
    asked = 0
    go = asyncio.Event()

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await go.wait()
        return asked

    one = Shared(ask, age_s=1_000, longest_s=1_000)
    gone, *others = [asyncio.create_task(one.get()) for _ in range(50)]
    await asyncio.sleep(0)
    gone.cancel()  # its browser has left
    go.set()

    assert set(await asyncio.gather(*others)) == {1}
    assert await one.get() == 1

    quick = Shared(ask, age_s=0, longest_s=0)
    assert [await quick.get(), await quick.get()] == [2, 3]


async def test_an_error_is_shared_too_and_asked_again_later() -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise LogUnavailable("away")
        return asked

    one = Shared(ask, age_s=1_000, longest_s=1_000)
    first = await asyncio.gather(one.get(), one.get(), return_exceptions=True)

    assert [type(error) for error in first] == [LogUnavailable, LogUnavailable]
    assert await one.get() == 2
