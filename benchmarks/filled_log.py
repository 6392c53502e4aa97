"""
A log with a history in it, folded into PostgreSQL: the starting point of every replay of a benchmark.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import asyncpg
from aiokafka import AIOKafkaProducer

from benchmarks.environments import Missing
from benchmarks.services import Server, running_kafka
from benchmarks.system import TOPIC, running_materialiser, running_postgres
from schemas.wire import EncodedRecord

MATERIALISER = "materialiser"  # the name of its offsets
AHEAD = 20_000  # records sent and not acknowledged
REPORT_EVERY_S = 10.0
STALLED_S = 120.0  # without progress
_FOLDED = "SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_offsets WHERE consumer = $1 AND topic = $2"
_DELIVERED = (
    "SELECT coalesce(sum((ledger.value ->> 'next')::bigint), 0)::bigint FROM deliveries, jsonb_each(ledgers) AS ledger "
    "WHERE tracker = $1"
)


class Log(NamedTuple):
    """The Kafka and PostgreSQL servers that hold a history."""

    kafka: Server
    store: Server
    topic: str = TOPIC

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the settings of a process that reads it; `folder` is its home."""
        found = {"KAFKA": self.kafka.address, "TOPIC": self.topic, "POSTGRES": self.store.address, "HOME": str(folder)}
        return {f"GATEWAY_{name}": value for name, value in found.items()}


@contextmanager
def running_log(folder: Path) -> Iterator[Log]:
    """Yield an empty log and an empty PostgreSQL, stopped at the end of the block. Raises Missing."""
    with ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(folder / "kafka", own=True))
        yield Log(kafka, stack.enter_context(running_postgres(folder / "postgres")))


def fill(log: Log, history: Iterable[EncodedRecord], report: Callable[[str], None]) -> int:
    """Write a history to the log and return its number of records."""
    return asyncio.run(_write(log, history, report))


def fold(log: Log, records: int, folder: Path, report: Callable[[str], None]) -> float:
    """Let a materialiser fold `records` records, then stop it; return the seconds. Raises Missing when it stalls."""
    begin = moved = monotonic()
    last, next_report = 0, begin + REPORT_EVERY_S
    with running_materialiser(folder, log.kafka.address, log.store.address, log.topic):
        while (done := position(log, MATERIALISER)) < records:
            now = monotonic()
            if done > last:
                last, moved = done, now
            if now - moved > STALLED_S:
                raise Missing(f"the materialiser is stuck at {done:,} of {records:,} records")
            if now >= next_report:
                next_report = now + REPORT_EVERY_S
                report(f"folded {done:,} of {records:,} records")
            sleep(0.1)
    return monotonic() - begin


def position(log: Log, consumer: str) -> int:
    """Return how many records of the log a consumer has processed: this log begins at 0 in each partition."""
    return int(asyncio.run(_value(log.store.address, _FOLDED, consumer, log.topic)))


def delivered(log: Log, tracker: str) -> int:
    """
    Return how many records a tracker has received, of any runs.

    A replay delivers many runs in parallel: its position in the log, below which everything is delivered, does not move
    for minutes.
    """
    return int(asyncio.run(_value(log.store.address, _DELIVERED, tracker)))


async def _value(dsn: str, query: str, *arguments: Any) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def _write(log: Log, history: Iterable[EncodedRecord], report: Callable[[str], None]) -> int:
    # The same way as the client: keyed by run, compressed, acknowledged by all replicas.
    producer = AIOKafkaProducer(
        bootstrap_servers=log.kafka.address, enable_idempotence=True, compression_type="zstd", linger_ms=20
    )
    await producer.start()
    count, next_report = 0, monotonic() + REPORT_EVERY_S
    sent: list[asyncio.Future[Any]] = []
    try:
        for record in history:
            sent.append(
                await producer.send(log.topic, key=record.key, value=record.value, headers=list(record.headers))
            )
            count += 1
            if len(sent) >= AHEAD:
                await asyncio.gather(*sent)
                sent.clear()
            if monotonic() >= next_report:
                next_report += REPORT_EVERY_S
                report(f"written {count:,} records")
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return count
