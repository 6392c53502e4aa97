"""Delete the beginning of a log, as retention does, or replace it by an empty one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from consumers.log.reader import LogReader
from tests.support import services


async def delete_before(kafka: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Delete the records below these offsets, by partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(topic, part): RecordsToDelete(before_offset=offset) for part, offset in offsets.items()}
        )
    finally:
        await admin.close()


async def truncate(kafka: str, topic: str) -> dict[int, int]:
    """Delete all records; return by partition the offset at which the log begins now."""
    reader = LogReader(kafka, topic)
    try:
        await reader.open()
        ends = await reader.end_offsets()
    finally:
        await reader.close()
    await delete_before(kafka, topic, {part: end for part, end in ends.items() if end})
    return ends


async def replace_topic(kafka: str, topic: str, partitions: int) -> None:
    """Delete a topic and create an empty one of this name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(60):
            while topic in await admin.list_topics():  # noqa: ASYNC110 - Kafka sends no event for this
                await asyncio.sleep(0.02)
    finally:
        await admin.close()
    await services.create_topic(kafka, topic, partitions)
