"""
Check the conservation law after faults, with a model read from the log that shares no code with the fold.

`read_model` reads every record of the log and derives what the tables must hold: each identity once, in the order of
the log. `prove` compares the tables with it and returns the numbers of the conservation law.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.log.record_parser import read_any_header_name
from schemas import events as ev
from schemas.errors import BadRecord
from schemas.wire import decode_run

SeriesKey = tuple[str, str, str]  # run, name, labels
Point = tuple[int, int, float]  # step, time in µs, value


@dataclass
class Model:
    """The contents of a log."""

    ends: dict[int, int] = field(default_factory=dict)  # by partition: the offset of the next record
    received: int = 0
    poison: set[tuple[int, int]] = field(default_factory=set)  # partition and offset
    seqs: dict[tuple[str, str], set[int]] = field(default_factory=dict)  # by run and producer
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    points: dict[SeriesKey, list[Point]] = field(default_factory=dict)


@dataclass
class Balance:
    """The conservation law: received = stored + deduplicated + parked."""

    received: int
    stored: int
    deduplicated: int
    parked: int
    points: int


async def read_model(bootstrap: str, topic: str, partitions: int) -> Model:
    """Read a whole topic."""
    read_any_header_name()
    model = Model()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=8_000_000)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        model.ends = {part.partition: end for part, end in ends.items()}
        async with asyncio.timeout(120):
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        _count(model, record)
    finally:
        await consumer.stop()
    return model


def _count(model: Model, record: object) -> None:
    r = record
    model.received += 1
    try:
        envelope = decode_run(r.key, r.value, tuple(r.headers))  # type: ignore[attr-defined]  # aiokafka has no types
    except BadRecord:
        model.poison.add((r.partition, r.offset))  # type: ignore[attr-defined]
        return
    seen = model.seqs.setdefault((envelope.run_id, envelope.producer), set())
    if envelope.seq in seen:
        model.refused[envelope.run_id, envelope.producer] += 1
        return
    seen.add(envelope.seq)
    if isinstance(envelope.event, ev.Points):
        for one in envelope.event.series:
            key = (envelope.run_id, one.name, str(sorted(one.labels.items())))
            model.points.setdefault(key, []).extend(zip(one.steps, one.times, one.values, strict=True))


async def prove(database: str, topic: str, model: Model) -> Balance:
    """Compare the tables with the model; fail where they differ."""
    connection = await asyncpg.connect(database)
    try:
        offsets = await connection.fetch(
            "SELECT partition, next_offset FROM consumer_offsets WHERE consumer = 'materialiser' AND topic = $1", topic
        )
        producers = await connection.fetch("SELECT run_id, producer, next_seq, missing::text, refused FROM producers")
        letters = await connection.fetch("SELECT partition, log_offset FROM dead_letters")
        rows = await connection.fetch(
            "SELECT run_id, name, labels::text, step, time, value FROM metric_points "
            "ORDER BY run_id, name, labels::text, index"
        )
    finally:
        await connection.close()
    assert {row["partition"]: row["next_offset"] for row in offsets} == model.ends
    assert sorted(map(tuple, letters)) == sorted(model.poison)  # a list, so that duplicates count
    stored = {(row["run_id"], row["producer"]): row for row in producers}
    assert stored.keys() == model.seqs.keys()
    for key, seqs in model.seqs.items():
        row = stored[key]
        assert (row["next_seq"], row["missing"]) == (len(seqs), "[]"), key  # each of 0..n-1
        assert row["refused"] == model.refused[key], key
    _compare_points(rows, model)
    return Balance(
        received=sum(row["next_offset"] for row in offsets),
        stored=sum(row["next_seq"] for row in producers),
        deduplicated=sum(row["refused"] for row in producers),
        parked=len(letters),
        points=len(rows),
    )


def _compare_points(rows: list[asyncpg.Record], model: Model) -> None:
    import json

    found: dict[SeriesKey, list[Point]] = {}
    for run_id, name, labels, step, time, value in rows:
        key = (run_id, name, str(sorted(json.loads(labels).items())))
        found.setdefault(key, []).append((step, time, value))
    assert found.keys() == model.points.keys()
    for key, points in model.points.items():
        assert found[key] == points, key  # in the order of the log
