"""The client and the readers of the log leave no connection open, whenever they are stopped."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from aiokafka.conn import AIOKafkaConnection

from consumers.log.reader import LogReader
from gateway.client.transports.kafka_transport import KafkaTransport

INSTANTS = 40


def open_connections() -> list[AIOKafkaConnection]:
    return [one for one in gc.get_objects() if type(one) is AIOKafkaConnection and one.connected()]


async def test_cancelled_at_any_instant_of_connecting_it_closes_every_connection(kafka: str, topic: str) -> None:
    before = open_connections()
    has_opened = []
    for number in range(INSTANTS):
        transport = KafkaTransport([kafka], topic)
        opening = asyncio.ensure_future(transport.open())
        await asyncio.wait({opening}, timeout=number * 0.000_5 if number < INSTANTS - 1 else None)  # takes about 10 ms
        has_opened.append(opening.done())
        opening.cancel()
        await asyncio.wait({opening})
        await transport.close()

        assert [one for one in open_connections() if one not in before] == [], f"after {number} halves of a ms"
    assert set(has_opened) == {False, True}


async def test_a_reader_cancelled_at_any_instant_of_connecting_closes_every_connection(kafka: str, topic: str) -> None:
    before = open_connections()
    has_opened = []
    for number in range(INSTANTS):
        reader = LogReader(kafka, topic)
        opening = asyncio.ensure_future(reader.open())
        await asyncio.sleep(number * 0.001)  # connecting takes about 20 ms
        has_opened.append(opening.done())
        opening.cancel()
        await asyncio.wait({opening})
        await reader.close()

        assert [one for one in open_connections() if one not in before] == [], f"after {number} ms"
    assert False in has_opened


async def test_a_reader_closed_right_after_a_failed_fetch_closes_every_connection(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_connections()
    reader = LogReader(kafka, topic)
    await reader.open()
    await reader.assign(dict.fromkeys(await reader.partitions(), 0))
    failed = asyncio.Event()
    monkeypatch.setattr(logging.getLogger("aiokafka.consumer.fetcher"), "error", lambda *_: failed.set())
    while not failed.is_set():
        await reader.fetch(timeout_ms=20, max_records=1)  # a fetch is on its way
        for one in open_connections():
            if one not in before:
                one.close()

    await reader.close()

    assert [one for one in open_connections() if one not in before] == []
