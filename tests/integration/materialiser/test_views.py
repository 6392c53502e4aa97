"""What a deleted run had is in no view that people with a SQL tool read."""

from __future__ import annotations

import asyncpg

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from schemas import events as ev
from schemas.values import FloatValue
from schemas.wire import Envelope, encode
from tests.support.log_author import Author


def run(run_id: str, *, deleted: bool) -> list[Envelope]:
    author = Author(run_id)
    envelopes = [
        author.start(),
        author.envelope(ev.Params(time=author.now(), params={"lr": FloatValue(value=0.1)})),
        author.metrics("loss", [1.0, 2.0]),
    ]
    return [*envelopes, author.envelope(ev.Deleted(time=author.now(), what="run"))] if deleted else envelopes


async def test_no_view_shows_a_deleted_run(database: str) -> None:
    store = await open_database(database)
    await migrate(store)
    worker = Worker(store, "log")
    await worker.assign([0])
    envelopes = [*run("kept", deleted=False), *run("gone", deleted=True)]
    made = map(encode, envelopes)
    await worker.apply([Record("log", 0, at, r.key, r.value, tuple(r.headers), 0) for at, r in enumerate(made)])
    await store.close()

    connection = await asyncpg.connect(database)
    views = [
        row["relname"]
        for row in await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace"
        )
    ]
    shown = {view: await connection.fetch(f"SELECT DISTINCT run_id FROM {view}") for view in views}
    await connection.close()

    assert {"metric_points", "runs_overview", "existing_runs"} <= shown.keys()
    assert {view: [row["run_id"] for row in rows] for view, rows in shown.items()} == {view: ["kept"] for view in views}
