"""No record and no refusal of PostgreSQL stops the worker for ever: it waits, or parks the record with a reason."""

from __future__ import annotations

import asyncio
from array import array
from threading import Thread
from typing import Any

import asyncpg
import pytest

from consumers.log.record import Record
from consumers.materialiser import worker as worker_module
from consumers.materialiser.fold.fold import fold
from consumers.materialiser.worker import Worker
from consumers.store.pool import Database, open_database
from consumers.store.statements import sql
from consumers.store.write import loader
from consumers.store.write.series_id import series_id
from consumers.telemetry.instruments import FoldWatch
from schemas import events as ev
from schemas.values import BoolValue
from schemas.wire import Envelope, encode
from tests.support.log_author import Author
from tests.support.materialiser_process import DEADLINE_S

TOPIC = "log"


def records(envelopes: list[Envelope]) -> list[Record]:
    made = map(encode, envelopes)
    return [Record(TOPIC, 0, offset, r.key, r.value, tuple(r.headers), 0) for offset, r in enumerate(made)]


async def assigned(store: Database) -> Worker:
    worker = Worker(store, TOPIC)
    await worker.assign([0])
    return worker


async def execute(dsn: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


def notes(*texts: str) -> list[Record]:
    author = Author("r1")
    return records([author.envelope(ev.Tags(time=author.now(), tags={text: text})) for text in texts])


async def test_a_record_whose_fold_fails_is_parked_alone(
    store: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(state: Any, changes: Any, envelope: Envelope, partition: int, offset: int) -> bool:
        done = fold(state, changes, envelope, partition, offset)
        if isinstance(envelope.event, ev.Tags) and "bad" in envelope.event.tags:
            raise RecursionError("an unforeseen fault")
        return done

    monkeypatch.setattr(worker_module, "fold", failing)
    worker = await assigned(store)
    await worker.apply(notes("a", "bad", "b"))

    assert [row["name"] for row in await execute(database, "SELECT name FROM tags ORDER BY name")] == ["a", "b"]
    letters = await execute(database, "SELECT log_offset, reason FROM dead_letters")
    assert [row["log_offset"] for row in letters] == [1]
    assert letters[0]["reason"] == "folding it failed with RecursionError: an unforeseen fault"
    assert worker.positions() == {0: 3}


async def test_a_record_whose_rows_are_refused_is_parked_alone(store: Database, database: str) -> None:
    await execute(database, "ALTER TABLE tags ADD CHECK (value <> 'bad')")
    worker = await assigned(store)
    await worker.apply(notes("a", "bad", "b"))

    assert [row["name"] for row in await execute(database, "SELECT name FROM tags ORDER BY name")] == ["a", "b"]
    assert [row["log_offset"] for row in await execute(database, "SELECT log_offset FROM dead_letters")] == [1]


async def test_a_stored_run_with_a_large_number_is_loaded_and_written_again(store: Database, database: str) -> None:
    author = Author("r1")
    first = author.start(run_config={"seed": 1e20, "deep": [[2**63, 10.0**300]]})
    rest = [author.envelope(ev.Note(time=author.now(), text="later"))]
    all_records = records([first, *rest])
    await (await assigned(store)).apply(all_records[:1])
    await (await assigned(store)).apply(all_records)  # a new worker loads the run from its row

    (row,) = await execute(database, "SELECT note, run_config::text AS config FROM runs")
    assert row["note"] == "later"
    assert row["config"].startswith('{"deep": [[9223372036854775808, 1000')
    assert await execute(database, "SELECT FROM dead_letters") == []


async def test_a_read_only_server_is_waited_for(store: Database, database: str, postgres_server: str) -> None:
    name = database.rpartition("/")[2]
    watch = FoldWatch()
    worker = Worker(store, TOPIC, watch)
    await worker.assign([0])
    await execute(database, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await store.pool.expire_connections()  # as after a failover: the address leads to the standby
    applying = asyncio.create_task(worker.apply(notes("a")))
    async with asyncio.timeout(DEADLINE_S):
        while not (problem := watch.pulse.problem):  # noqa: ASYNC110  # the watch signals nothing
            await asyncio.sleep(0.01)
    await execute(postgres_server, f'ALTER DATABASE "{name}" RESET ALL')
    await asyncio.wait_for(applying, DEADLINE_S)

    assert "is read-only" in problem
    assert [row["name"] for row in await execute(database, "SELECT name FROM tags")] == ["a"]


SLOW_DELETE = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.8); RETURN OLD; END $$;
CREATE TRIGGER slow BEFORE DELETE ON tags FOR EACH ROW EXECUTE FUNCTION wait();
"""


async def test_an_edit_may_take_longer_than_other_statements(store: Database, database: str) -> None:
    async with store.acquire() as connection:
        await connection.execute(SLOW_DELETE)
    hurried = await open_database(database, command_timeout_s=0.4, statement_timeout="400ms")
    author, watch = Author("r1"), FoldWatch()
    worker = Worker(hurried, TOPIC, watch)
    await worker.assign([0])
    await worker.apply(
        records([
            author.envelope(ev.Tags(time=author.now(), tags={"a": "1"})),
            author.envelope(ev.Deleted(time=author.now(), what="tag", name="a")),
        ])
    )  # fmt: skip
    await hurried.close()

    assert await execute(database, "SELECT FROM tags") == []
    assert watch.pulse.problem == ""


async def test_a_series_that_another_worker_makes_during_the_load_is_not_half_loaded(
    store: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rebalance two workers may hold a partition; the one that lost it is fenced when it writes."""
    author = Author("r")
    made = records([author.start(), author.metrics("loss", [1.0, 2.0])])
    wanted, begun = [series_id("r", ev.MAIN_STEP, 1, "loss", {})], list[str]()

    async def fold_elsewhere() -> None:
        other = await open_database(database, size=2)
        try:
            await (await assigned(other)).apply(made)
        finally:
            await other.close()

    def statement(name: str) -> str:
        if name == "load_open_chunks" and not begun:
            begun.append(name)
            thread = Thread(target=lambda: asyncio.run(fold_elsewhere()))
            thread.start()
            thread.join()
        return sql(name)

    monkeypatch.setattr(loader, "sql", statement)

    assert await loader.load_series(store, wanted) == []
    assert [row.points for row in await loader.load_series(store, wanted)] == [2]


async def test_records_of_many_rows_are_written_in_several_transactions(
    store: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 MB of empty console lines are 4 million rows: at once they take gigabytes, and longer than a statement may."""
    monkeypatch.setattr(worker_module, "MAX_ROWS", 10)
    author = Author("r1")
    lines = ev.ConsoleText(time=author.now(), lines=[""] * 6, times=array("q", [0] * 6))
    seen = [ev.Observation(name="on", time=author.now(), value=BoolValue(value=True))] * 11
    events: list[ev.AnyEvent] = [lines, lines, lines, ev.Values(time=author.now(), values=seen), lines]

    await (await assigned(store)).apply(records([author.envelope(event) for event in events]))

    written = await execute(
        database,
        "SELECT log_offset, xmin::text FROM console_lines UNION SELECT log_offset, xmin::text FROM observations",
    )
    batches: dict[str, list[int]] = {}
    for row in sorted(written):
        batches.setdefault(row["xmin"], []).append(row["log_offset"])
    assert list(batches.values()) == [[0, 1], [2, 3], [4]]
