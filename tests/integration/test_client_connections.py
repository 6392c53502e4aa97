"""The client leaves no connection open, whenever it is told to stop."""

from __future__ import annotations

import asyncio
import gc

from aiokafka.conn import AIOKafkaConnection

from gateway.client.kafka import Kafka


def open_connections() -> list[AIOKafkaConnection]:
    return [one for one in gc.get_objects() if type(one) is AIOKafkaConnection and one.connected()]


async def test_cancelled_at_any_instant_of_connecting_it_closes_every_connection(kafka: str, topic: str) -> None:
    before = open_connections()
    has_opened = []
    for number in range(80):
        transport = Kafka([kafka], topic)
        opening = asyncio.ensure_future(transport.open())
        await asyncio.sleep(number * 0.000_25)  # connecting takes about 10 ms
        has_opened.append(opening.done())
        opening.cancel()
        await asyncio.wait({opening})
        await transport.close()

        assert [one for one in open_connections() if one not in before] == [], f"after {number} quarters of a ms"
    assert set(has_opened) == {False, True}
