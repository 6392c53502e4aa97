"""What the reader of the log makes of fetches around a rebalance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver

from consumers.materialiser import faust_app
from consumers.materialiser.backpressure import ReadAhead
from consumers.materialiser.pace import Arrivals
from schemas.errors import LogShorter

PART = TopicPartition("log", 2)


def consumer_of(assignment: object) -> Any:
    """Return what the reader uses of aiokafka's consumer."""
    return SimpleNamespace(
        assignment=lambda: {PART},
        paused=frozenset,
        pause=lambda *_: None,
        resume=lambda *_: None,
        _fetcher=SimpleNamespace(),
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)),
    )


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a reader that sought to offset 45, and whose next fetch returns the record at offset 0."""

    async def fetched(*_: object, **__: object) -> dict[Any, Any]:
        return {PART: [SimpleNamespace(offset=0, key=b"k", value=b"v")]}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetched)
    made = object.__new__(faust_app._Reader)
    made._arrivals = Arrivals()
    hooks = SimpleNamespace(read_ahead=ReadAhead(), must_pause=lambda: False)
    made.feed = faust_app._Feed("log", None, hooks, 5)  # type: ignore[arg-type]
    made.fetched, made._damaged, made._sought = {PART: 45}, {}, "the assignment of the seek"
    return made


async def test_a_partition_that_begins_again_is_another_log(reader: Any) -> None:
    consumer = consumer_of(reader._sought)

    assert await reader._fetch_records(consumer) == {}
    with pytest.raises(LogShorter, match="partition 2 ends at offset 0, before offset 45"):
        await reader._fetch_records(consumer)


async def test_a_fetch_after_a_rebalance_and_before_its_seek_proves_nothing(reader: Any) -> None:
    """It began before the rebalance, and aiokafka reads from Kafka's committed offsets, which lag behind."""
    found = await reader._fetch_records(consumer_of("the next assignment"))

    assert list(found) == [PART]
    assert reader.shorter is None
