"""Rows of many series in PostgreSQL: the same tables with little memory, restarts and any batches; every value once."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence

import pytest

from consumers.log.record import Record
from consumers.materialiser import worker as materialiser
from consumers.materialiser.worker import Worker
from consumers.store.pool import Database
from schemas import events as ev
from schemas.wire import decode_run, encode
from tests.support.log_author import Author
from tests.support.materialiser_process import dump, reading
from tests.support.rebuild_process import execute

TOPIC = "rows"
NAMES = tuple(f"layer_{number}/grad" for number in range(40))
STEPS = 1_150  # more than one chunk


def log() -> list[Record]:
    """Return a run with a row a step, in two sets of series, and columns of one of them now and then."""
    author, dice = Author("r1"), random.Random(15)
    envelopes = [author.start()]
    for step in range(STEPS):
        cells = [dice.gauss(0, 1) for _ in NAMES]
        cells[step % 7] = math.nan if step % 11 == 0 else cells[step % 7]
        for names, values in ((NAMES[:25], cells[:25]), (NAMES[25:], cells[25:])):
            envelopes.append(author.envelope(row(names, step, author.now(), values)))
        if step % 100 == 99:
            envelopes.append(author.metrics(NAMES[3], [0.25] * 30, first_step=10_000 + step))
    envelopes.append(author.finish())
    records = []
    for offset, one in enumerate(map(encode, envelopes)):
        records.append(Record(TOPIC, 0, offset, one.key, one.value, tuple(one.headers), 1_700_000_000_000))
    return records


def row(names: Sequence[str], step: int, time: int, values: Sequence[float]) -> ev.MetricRows:
    return ev.MetricRows(
        time=time, names=tuple(names), steps=array("q", [step]), times=array("q", [time]), values=[array("d", values)]
    )


async def fold(store: Database, records: Sequence[Record], sizes: Sequence[int]) -> None:
    """Apply records in batches of these sizes, again and again, with a new worker now and then."""
    worker, at, number = Worker(store, TOPIC), 0, 0
    await worker.assign([0])
    while at < len(records):
        size = sizes[number % len(sizes)]
        await worker.apply(records[at : at + size])
        at, number = at + size, number + 1
        if number % 5 == 0:
            worker = Worker(store, TOPIC)
            await worker.assign([0])


async def test_tables_do_not_depend_on_memory_restarts_or_batches(
    store: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = log()
    await fold(store, records, [len(records)])
    at_once = await dump(database)
    for table in ("chunks", "series", "runs", "producers", "steps", "attempts", "chunk_groups", "consumer_offsets"):
        await execute(database, f"TRUNCATE {table} CASCADE")
    monkeypatch.setattr(materialiser, "MAX_OPEN_POINTS", 2_000)  # points are forgotten all the time

    await fold(store, records, [1, 300, 37, 64, 5])

    again = await dump(database)
    assert at_once["series"]
    assert {name: again[name] for name in at_once} == at_once


async def test_every_value_is_read_back_once(store: Database, database: str) -> None:
    records = log()
    expected: list[tuple[str, int, str]] = []
    for one in records:
        event = decode_run(one.key, one.value, one.headers).event
        for series in event.series if isinstance(event, ev.Points) else ():
            expected += [(series.name, *cell) for cell in zip(series.steps, map(repr, series.values), strict=True)]

    await fold(store, records, [97])

    async with reading(database) as reader:
        found = [(point.series, point.step, repr(point.value)) async for point in reader.points("r1")]
    assert sorted(found) == sorted(expected)
