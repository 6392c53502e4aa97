"""Of several values of a parameter, one counts: the same in the run log, the list, filters, orders and SQL views."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import Database, open_database
from consumers.store.read.reader import StoreReader
from consumers.store.search.filter import parse_filter, parse_order
from schemas import events as ev
from schemas.values import FloatValue, to_plain
from schemas.wire import Envelope, encode
from tests.support.log_author import Author

Write = tuple[str, int, float]  # step, attempt, value of lr

CASES: dict[str, tuple[list[Write], float]] = {
    "two steps, train then eval": ([("train", 1, 0.1), ("eval", 1, 0.2)], 0.2),
    "two steps, eval then train": ([("eval", 1, 0.1), ("train", 1, 0.2)], 0.2),
    "there and back in one attempt": ([("main", 1, 0.1), ("main", 1, 0.2), ("main", 1, 0.1)], 0.1),
    "there and back in attempts": ([("main", 1, 0.1), ("main", 2, 0.2), ("main", 3, 0.1)], 0.1),
    "attempts 2 to 10": ([("main", number, number / 100) for number in range(2, 11)], 0.1),
    "a late value of attempt 1": ([("main", 2, 0.2), ("main", 1, 0.1)], 0.2),
    "a late value of attempt 1 in another step": ([("main", 2, 0.2), ("eval", 1, 0.1)], 0.2),
}


def run(run_id: str, writes: list[Write]) -> list[Envelope]:
    author = Author(run_id)
    return [
        author.envelope(
            ev.Params(time=author.now(), step_name=step, attempt=number, params={"lr": FloatValue(value=lr)})
        )
        for step, number, lr in writes
    ]


async def fold(database: Database, envelopes: list[Envelope], size: int) -> None:
    await migrate(database)
    made = map(encode, envelopes)
    records = [Record("log", 0, offset, r.key, r.value, tuple(r.headers), 0) for offset, r in enumerate(made)]
    for first in range(0, len(records), size):
        worker = Worker(database, "log")
        await worker.assign([0])
        await worker.apply(records[first : first + size])


@pytest.mark.parametrize("size", [1, 1_000])
async def test_everything_that_shows_one_value_shows_the_same(database: str, size: int) -> None:
    store = await open_database(database)
    await fold(store, [envelope for name, (writes, _) in CASES.items() for envelope in run(name, writes)], size)
    reader = StoreReader(store)
    expected = {name: value for name, (_, value) in CASES.items()}
    logs = {name: await reader.run_log(name) for name in CASES}
    shown: dict[str, dict[str, Any]] = {
        "run log": {name: log.parameters["lr"] for name, log in logs.items() if log},
        "run list": {one.run_id: one.params["lr"] for one in await reader.runs()},
        "verify": {name: to_plain((await reader.params(name))["lr"]) for name in CASES},
    }
    for value in sorted(set(expected.values())):
        found = await reader.runs(filter=parse_filter(f"params.lr = {value}"))
        shown.setdefault("filter", {}).update({one.run_id: value for one in found})
    ordered = [one.params["lr"] for one in await reader.runs(order=parse_order("params.lr"))]
    await reader.close()
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT run_id, params FROM runs_overview")
    shown["runs_overview"] = {row["run_id"]: json.loads(row["params"])["lr"] for row in rows}
    await connection.close()

    assert shown == dict.fromkeys(shown, expected)
    assert ordered == sorted(expected.values())


async def test_rows_of_an_earlier_release_are_ranked_by_attempt_and_step(database: str) -> None:
    store = await open_database(database)
    await fold(store, run("old", [("train", 1, 0.1), ("eval", 1, 0.2), ("main", 2, 0.3)]), 1_000)
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE params SET log_offset = NULL, superseded = attempt < 2")
    later = run("old", [("main", 2, 0.4)])[0]._replace(seq=3)
    made = encode(later)
    worker = Worker(store, "log")
    await worker.assign([0])
    await worker.apply([Record("log", 0, 3, made.key, made.value, tuple(made.headers), 0)])
    found = (await StoreReader(store).params("old"))["lr"]
    counting = await connection.fetchval("SELECT count(*) FROM params WHERE NOT superseded")
    await store.close()
    await connection.close()

    assert (found, counting) == (FloatValue(value=0.4), 1)


@pytest.mark.parametrize("size", [1, 1_000])
async def test_a_parameter_that_is_set_once_keeps_its_first_value_in_the_log(database: str, size: int) -> None:
    writes = [
        ("a", 0.1, True),
        ("a", 0.2, True),
        ("b", 0.1, False),
        ("b", 0.2, True),
        ("c", 0.1, True),
        ("c", 0.2, False),
    ]
    author = Author("once")
    envelopes = [
        author.envelope(ev.Params(time=author.now(), params={name: FloatValue(value=value)}, once=once))
        for name, value, once in writes
    ]
    store = await open_database(database)
    await fold(store, envelopes, size)

    reader = StoreReader(store)
    found = await reader.params("once")
    await reader.close()
    assert {name: to_plain(value) for name, value in found.items()} == {"a": 0.1, "b": 0.1, "c": 0.2}
