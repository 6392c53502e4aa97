"""Records of one run in two partitions: the order of the run's partition counts, whichever is folded first."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg
import pytest

from consumers.log.record import Record
from consumers.materialiser.strays import StrayCopier
from consumers.materialiser.worker import Worker
from consumers.store.pool import Database
from consumers.store.run_partitions import RunPartitions
from schemas import events as ev
from schemas.errors import LogGap, LogUnavailable
from schemas.runtime.settings import Settings
from schemas.values import FloatValue, StringValue
from schemas.wire import Envelope, encode
from tests.support import services
from tests.support.log_author import Author, producer
from tests.support.materialiser_process import dump, environment, materialiser, until_folded
from tests.support.rebuild_process import execute, rebuild
from tests.support.topic_reader import read_topic


class Log:
    """A topic in memory."""

    def __init__(self, partitions: int) -> None:
        self.records: list[list[Record]] = [[] for _ in range(partitions)]
        self.is_away = False

    def append(self, partition: int, envelope: Envelope) -> None:
        made = encode(envelope)
        self._append(partition, Record("log", 0, 0, made.key, made.value, tuple(made.headers), 0))

    async def copy(self, strays: Mapping[int, Sequence[Record]]) -> None:
        """Copy strays, as StrayCopier does."""
        if self.is_away:
            raise LogUnavailable("the log is away")
        for partition, records in strays.items():
            for record in records:
                self._append(partition, record)

    def _append(self, partition: int, record: Record) -> None:
        where = self.records[partition]
        where.append(record._replace(partition=partition, offset=len(where)))

    def after(self, positions: Mapping[int, int]) -> list[Record]:
        return [record for part, offset in positions.items() for record in self.records[part][offset:]]


def values(author: Author, *texts: str) -> Envelope:
    """Return observations, whose rows have the place in the log as their key."""
    seen = [
        ev.Observation(name="state", step=i, time=author.now(), value=StringValue(value=text))
        for i, text in enumerate(texts)
    ]
    return author.envelope(ev.Values(time=author.now(), values=seen))


def param(author: Author, value: float) -> Envelope:
    return author.envelope(ev.Params(time=author.now(), params={"lr": FloatValue(value=value)}))


async def worker_of(store: Database, log: Log, partitions: Sequence[int]) -> Worker:
    worker = Worker(store, "log", copy_strays=log.copy)
    await worker.assign(partitions)
    return worker


async def fold(worker: Worker, log: Log, most: int = 1_000) -> None:
    """Fold everything, also what is copied meanwhile, in batches of at most `most` records."""
    while records := log.after(worker.positions()):
        await worker.apply(records[:most])


def moved_run(log: Log) -> None:
    """Write a run that begins in partition 0 and continues in partition 1, and another rank that stays."""
    one, two = Author("run", "p1"), Author("run", "p2")
    for envelope in (one.start(), param(one, 0.1), values(one, "a", "b"), one.metrics("loss", [1.0, 2.0])):
        log.append(0, envelope)
    log.append(0, two.metrics("other", [9.0]))
    for envelope in (param(one, 0.2), values(one, "c", "d"), one.metrics("loss", [3.0], first_step=2)):
        log.append(1, envelope)
    log.append(0, two.metrics("other", [8.0], first_step=1))
    log.append(1, one.envelope(ev.Renamed(time=one.now(), what="param", old="lr", new="rate")))
    log.append(1, one.finish())


async def stored(database: str, statement: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def check_moved(database: str) -> None:
    """Everything of `moved_run` is stored once, and in order."""
    points = await stored(database, "SELECT value FROM metric_points WHERE name = 'loss' ORDER BY index")
    assert points == [(1.0,), (2.0,), (3.0,)]
    texts = await stored(database, "SELECT value ->> 'value' FROM observations ORDER BY log_offset, position")
    assert texts == [("a",), ("b",), ("c",), ("d",)]
    assert await stored(database, "SELECT name, value ->> 'value' FROM params") == [("rate", "0.2")]
    assert await stored(database, "SELECT state, points, partition FROM runs") == [("finished", 5, 0)]
    assert await stored(database, "SELECT producer, next_seq, missing::text FROM producers ORDER BY 1") == [
        ("p1", 9, "[]"), ("p2", 2, "[]"),
    ]  # fmt: skip
    assert await stored(database, "SELECT count(*) FROM dead_letters") == [(0,)]


async def test_later_records_of_a_run_in_another_partition_are_folded_after_the_earlier_ones(
    store: Database, database: str
) -> None:
    log = Log(2)
    moved_run(log)
    worker = await worker_of(store, log, [0, 1])

    await fold(worker, log)

    await check_moved(database)


async def test_two_workers_with_a_partition_each_never_write_the_same_run(store: Database, database: str) -> None:
    log = Log(2)
    moved_run(log)
    first, second = await worker_of(store, log, [0]), await worker_of(store, log, [1])
    await first.apply(log.records[0][:1])

    while log.after(first.positions()) or log.after(second.positions()):
        await asyncio.gather(first.apply(log.after(first.positions())[:2]), second.apply(log.after(second.positions())))

    await check_moved(database)


async def test_a_stray_is_skipped_only_once_its_copy_is_in_the_log(store: Database, database: str) -> None:
    log = Log(2)
    moved_run(log)
    worker = await worker_of(store, log, [0, 1])
    await worker.apply(log.records[0][:])
    log.is_away = True

    waiting = asyncio.create_task(worker.apply(log.records[1][:]))
    await asyncio.wait({waiting}, timeout=0.3)
    assert not waiting.done()
    assert await stored(database, "SELECT next_offset FROM consumer_offsets WHERE partition = 1") == [(0,)]
    log.is_away = False
    await waiting
    await fold(worker, log)

    await check_moved(database)


async def test_a_stray_that_is_copied_twice_is_folded_once(store: Database, database: str) -> None:
    """The worker died after Kafka had the copies, and before its offset moved."""
    log = Log(2)
    moved_run(log)
    await fold(await worker_of(store, log, [0]), log)
    await log.copy({0: log.records[1][:3]})

    await fold(await worker_of(store, log, [0, 1]), log)

    await check_moved(database)
    assert await stored(database, "SELECT refused FROM producers WHERE producer = 'p1'") == [(3,)]


async def test_of_many_that_meet_a_run_in_different_partitions_one_decides(store: Database) -> None:
    claims = [RunPartitions(store, "log").claim({f"r{number}": part for number in range(20)}) for part in range(8)]

    found = await asyncio.gather(*claims)

    assert all(one == found[0] for one in found)
    assert await RunPartitions(store, "another log").find(["r0"]) == {}


@pytest.mark.parametrize("seed", range(3))
async def test_folding_the_log_again_gives_the_same_rows_in_whatever_order_its_partitions_are_read(
    store: Database, database: str, postgres_server: str, seed: int
) -> None:
    """The copies are in the log; a second fold knows the runs' partitions and copies nothing."""
    log = Log(3)
    moved_run(log)
    third = Author("third")
    for partition in (2, 1, 2, 0):
        log.append(partition, third.metrics("loss", [float(partition)]))
    await fold(await worker_of(store, log, [0, 1, 2]), log, most=4)
    before, chance = await dump(database), random.Random(seed)

    again = Worker(store, "log", run_partitions=RunPartitions(store, "log"))
    side = await _emptied(store, log)
    assert side == before.keys()
    await again.assign([0, 1, 2])
    while left := log.after(again.positions()):
        part = chance.choice([record.partition for record in left])
        await again.apply([record for record in left if record.partition == part][: chance.randint(1, 5)])

    assert await dump(database) == before


async def _emptied(store: Database, log: Log) -> set[str]:
    """Empty every table that a rebuild folds again; return the names of all tables."""
    async with store.acquire() as connection:
        rows = await connection.fetch(
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_pogo%'"
        )
        names = {row["name"] for row in rows}
        folded = names - {"run_partitions", "run_partitions_uncopied", "dead_letters_published"}
        await connection.execute("TRUNCATE " + ", ".join(sorted(folded)))
    return names - {"dead_letters_published"}


async def test_a_rebuild_copies_the_strays_that_an_earlier_release_folded_where_they_were(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database)
    author = Author("run")
    first, moved = author.start(), author.metrics("loss", [1.0])
    with materialiser(tmp_path, variables):
        async with producer(kafka) as sender:
            for partition, envelope in ((0, first), (1, moved)):
                made = encode(envelope)
                await sender.send_and_wait(topic, made.value, made.key, partition=partition, headers=list(made.headers))
        await until_folded(database, topic, 3)  # with the copy
    # As the migration leaves it: the stray has no copy that anything has read.
    await execute(database, "INSERT INTO run_partitions_uncopied VALUES ($1, 1, 1)", topic)

    done = await asyncio.to_thread(rebuild, variables)

    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 4)
    assert done.returncode == 0, done.stderr
    assert await stored(database, "SELECT points FROM runs") == [(1,)]
    assert await stored(database, "SELECT next_seq, missing::text, refused FROM producers") == [(2, "[]", 1)]
    assert await stored(database, "SELECT count(*) FROM run_partitions_uncopied") == [(0,)]


async def test_strays_are_copied_to_a_partition_that_the_topic_got_after_the_first_copy(kafka: str) -> None:
    """The run was first met in the new partition, because the one of its beginning is read later."""
    topic = f"grows-twice-{time.monotonic_ns()}"
    await services.create_topic(kafka, topic, partitions=2)
    copier = StrayCopier(Settings(kafka=kafka, topic=topic))
    made = encode(Author("run").start())
    stray = Record(topic, 0, 0, made.key, made.value, tuple(made.headers), 0)
    try:
        await copier.copy({1: [stray]})
        await services.add_partitions(kafka, topic, 4)
        await copier.copy({3: [stray]})
        with pytest.raises(LogGap, match="has 4 partitions, and run run is in partition 4"):
            await copier.copy({4: [stray]})
    finally:
        await copier.close()

    records = await read_topic(kafka, topic, lambda found: len(found) >= 2)
    assert sorted(record.partition for record in records) == [1, 3]
