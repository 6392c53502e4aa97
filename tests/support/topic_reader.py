"""Read a topic from its start, as any Kafka tool does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

DEADLINE_S = 150.0


async def read_topic(bootstrap: str, topic: str, is_enough: Callable[[list[Any]], bool]) -> list[Any]:
    """Return the records of a topic from its start when `is_enough` accepts them; fail at the deadline."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    found: list[Any] = []
    deadline = time.monotonic() + DEADLINE_S
    try:
        while not is_enough(found):
            assert time.monotonic() < deadline, f"{topic} has only {len(found)} records within {DEADLINE_S} s"
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
    finally:
        await consumer.stop()
    return found
