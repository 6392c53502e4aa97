"""What the contract accepts is folded, stored and read back; what it refuses is parked, and nothing else is."""

from __future__ import annotations

import random
import string
import sys
from array import array
from typing import Any

import asyncpg
import pytest

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import Database, open_database
from consumers.store.read.reader import StoreReader
from schemas import events as ev
from schemas.errors import BadRecord
from schemas.values import to_plain
from schemas.wire import decode_run, encode
from tests.support.hostile_records import hostile_param, hostile_record
from tests.support.log_author import Author

# pydantic-core reports to stderr that it cannot print a deeply nested value in an error; pytest fails at that report.
pytestmark = pytest.mark.usefixtures("deaf_to_reports")
BATCH = 500  # records
TOPIC = "fuzz"


@pytest.fixture
def deaf_to_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)


async def fold_and_read_back(dsn: str, cases: int, seed: int) -> tuple[int, int]:
    """Fold hostile records on a real PostgreSQL; return how many were stored and how many parked."""
    dice, expected, refused = random.Random(seed), dict[str, dict[str, Any]](), list[int]()
    database = await open_database(dsn)
    try:
        await migrate(database)
        for first in range(0, cases, BATCH):
            records = [_record(dice, number) for number in range(first, min(first + BATCH, cases))]
            for record in records:
                _note(record, expected, refused)
            worker = Worker(database, TOPIC)  # a new one loads what was stored, so that it is written again
            await worker.assign([0])
            await worker.apply(records)
        reader = StoreReader(database)
        for run_id in await reader.run_ids():
            log = await reader.run_log(run_id, max_points=50)
            assert log is not None
            log.model_dump_json()
            await reader.series(run_id)
            await _read_for_comparison(reader, run_id)
        found = {
            run_id: {name: to_plain(value) for name, value in (await reader.params(run_id)).items()}
            for run_id in expected
        }
    finally:
        await database.close()

    assert found == expected
    assert await _parked(dsn) == refused
    await _read_views(dsn)
    return cases - len(refused), len(refused)


async def _read_for_comparison(reader: StoreReader, run_id: str) -> None:
    async with reader.snapshot() as now:
        await now.contents(run_id)
        await now.gaps([run_id])
        await now.progress(run_id, max_series=10)
        for rows in (now.observations(run_id), now.lines(run_id), now.columns(run_id), now.points(run_id)):
            async for _ in rows:
                pass


def _record(dice: random.Random, number: int) -> Record:
    group = number // 1_000  # a refused record is a gap in the numbers of its producer, and many make the fold slow
    if dice.random() < 0.4:
        made = hostile_param(dice, number, f"values {group}")
    else:
        made = hostile_record(dice, number, f"run {group} {dice.randrange(10)}")
    return Record(TOPIC, 0, number, made.key, made.value, tuple(made.headers), 0)


def _note(record: Record, expected: dict[str, dict[str, Any]], refused: list[int]) -> None:
    try:
        envelope = decode_run(record.key, record.value, record.headers)
    except BadRecord:
        refused.append(record.offset)
        return
    if envelope.run_id.startswith("values"):
        assert isinstance(envelope.event, ev.Params)
        found = expected.setdefault(envelope.run_id, {})
        found |= {name: to_plain(value) for name, value in envelope.event.params.items()}


async def _parked(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT log_offset FROM dead_letters ORDER BY log_offset")
    await connection.close()
    return [row["log_offset"] for row in rows]


async def _read_views(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    for view in ("metric_points", "runs_overview"):
        assert await connection.fetch(f"SELECT * FROM {view}")
    await connection.close()


async def test_hostile_records_are_stored_or_parked(database: str) -> None:
    stored, parked = await fold_and_read_back(database, 1_500, seed=20261130)

    assert min(stored, parked) > 300


async def test_edits_of_the_longest_names_are_stored_and_of_longer_ones_refused(store: Database, database: str) -> None:
    letters = random.Random(1).choices(string.ascii_letters, k=3_000)  # an index cannot compress them
    name, new, longer = "".join(letters[:1_024]), "".join(letters[-1_024:]), "".join(letters)
    one = Author("ü" + "".join(letters[:254]))
    longest = [
        one.envelope(ev.Deleted(time=one.now(), what="artifact", name=name)),
        one.envelope(ev.Renamed(time=one.now(), what="series", old=name, new=new)),
    ]
    worker = Worker(store, TOPIC)
    await worker.assign([0])

    await worker.apply([
        Record(TOPIC, 0, offset, made.key, made.value, tuple(made.headers), 0)
        for offset, made in enumerate(map(encode, longest))
    ])  # fmt: skip

    assert await _parked(database) == []
    with pytest.raises(ValueError, match="at most 1024 characters"):
        ev.Deleted(time=0, what="series", name=longer)
    with pytest.raises(ValueError, match="at most 1024 characters"):
        ev.Renamed(time=0, what="tag", old=longer, new=new)


async def test_producers_whose_counts_are_at_their_bounds_leave_a_run_readable(store: Database) -> None:
    one = Author("run")
    most = ev.ProducerClosed(time=one.now(), batches=2**62, points=2**62, dropped=2**62)
    envelopes = [Author("run", f"p{number}").envelope(most) for number in range(3)]
    envelopes.append(one.envelope(ev.Heartbeat(time=one.now()))._replace(seq=10**18 - 1))
    records = [encode(envelope) for envelope in envelopes]
    worker = Worker(store, TOPIC)
    await worker.assign([0])

    await worker.apply([
        Record(TOPIC, 0, offset, made.key, made.value, tuple(made.headers), 0) for offset, made in enumerate(records)
    ])  # fmt: skip

    async with StoreReader(store).snapshot() as now:
        assert await now.gaps(["run"]) == {"run": 2**63 - 1}


async def test_the_last_value_of_a_series_is_one_of_its_points_whatever_its_step_and_time(store: Database) -> None:
    series = ev.Series(name="loss", steps=array("q", [-(2**63)]), times=array("q", [-5]), values=array("d", [3.5]))
    made = encode(Author("run").envelope(ev.Metrics(time=1, series=[series])))
    worker = Worker(store, TOPIC)
    await worker.assign([0])

    await worker.apply([Record(TOPIC, 0, 0, made.key, made.value, tuple(made.headers), 0)])

    found = await StoreReader(store).series("run")
    assert found is not None
    assert [(one.last_step, one.last) for one in found.series] == [(-(2**63), 3.5)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_a_hundred_thousand_hostile_records_are_stored_or_parked(database: str, seed: int) -> None:
    stored, parked = await fold_and_read_back(database, 10_000, seed=seed)

    assert min(stored, parked) > 2_000
