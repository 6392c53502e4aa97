"""
The offsets of every consumer: the materialiser's and one set per tracker.

Each is a row of consumer_offsets by consumer, topic and partition: the next offset that this consumer reads.
"""

from __future__ import annotations

from collections.abc import Collection

from consumers.log.reader import PlacedTime
from consumers.store.pool import Database
from consumers.store.statements import sql

CONSUMER = "materialiser"  # consumer name of the materialiser


def consumer_name(tracker: str) -> str:
    """Return the consumer name of the offsets of a tracker."""
    return f"delivery/{tracker}"


async def all_offsets(database: Database, topic: str) -> dict[str, dict[int, int]]:
    """Return the next offset of each partition that each consumer has read, by consumer."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("all_offsets"), topic)
    found: dict[str, dict[int, int]] = {}
    for row in rows:
        found.setdefault(row["consumer"], {})[row["partition"]] = row["next_offset"]
    return found


async def load_offsets(database: Database, consumer: str, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """Return the next offset of each partition; 0 for a partition that was never read, which has a row from now on."""
    async with database.acquire() as connection:
        for partition in sorted(partitions):
            await connection.execute(sql("claim_offset"), consumer, topic, partition)
    found = await stored_offsets(database, consumer, topic)
    return {partition: offset for partition, offset in found.items() if partition in partitions}


async def last_records(database: Database, consumer: str, topic: str) -> dict[int, PlacedTime]:
    """Return the last record that this consumer has read of each partition, where it is known."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("last_records"), consumer, topic)
    return {row["partition"]: PlacedTime(row["last_offset"], row["last_time"]) for row in rows}


async def stored_offsets(database: Database, consumer: str, topic: str) -> dict[int, int]:
    """Return the next offset of each partition that this consumer has ever read."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("load_offsets"), consumer, topic)
    return {row["partition"]: row["next_offset"] for row in rows}
