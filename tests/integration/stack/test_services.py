"""The fixtures give real, fresh topics and databases, with the tables of this release or without any."""

from __future__ import annotations

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from consumers.store.migrations import released


async def test_a_topic_stores_a_record_of_more_than_one_mebibyte(kafka: str, topic: str) -> None:
    value = b"x" * (3 << 20)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=8 << 20, acks="all")
    async with producer:
        sent = await producer.send_and_wait(topic, value, partition=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    async with consumer:
        place = TopicPartition(topic, 1)
        consumer.assign([place])
        consumer.seek(place, sent.offset)
        record = await consumer.getone()

    assert record.value == value


async def test_an_empty_database_has_no_tables_and_speaks_utf8(empty_database: str) -> None:
    connection = await asyncpg.connect(empty_database)
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    encoding = await connection.fetchval("SHOW server_encoding")
    await connection.close()

    assert (tables, encoding) == (0, "UTF8")


async def test_a_database_has_the_tables_of_this_release_and_no_rows(database: str) -> None:
    connection = await asyncpg.connect(database)
    applied = await connection.fetch("SELECT migration_id FROM _pogo_migration")
    runs = await connection.fetchval("SELECT count(*) FROM runs")
    await connection.close()

    assert {row[0] for row in applied} == released()
    assert runs == 0
