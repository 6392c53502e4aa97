"""A silent run appears as lost, and as running after its next event; the state is never stored in a row."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from schemas import events as ev
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author

NOW = time.time_ns() // 1_000 + 86_400_000_000  # µs: tomorrow, so that a run is not lost on a slow machine


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


async def states(live: Live, **parameters: object) -> dict[str, str]:
    return {run["run_id"]: run["state"] for run in (await live.json("/v1/runs", **parameters))["runs"]}


async def test_silence_is_lost_until_the_next_sign_of_life(live: Live) -> None:
    silent, ended, fresh = Author("silent"), Author("ended"), Author("fresh", time=NOW)
    await live.publish([silent.start(), ended.start(), ended.finish(), fresh.start()])

    assert await states(live) == {"silent": "lost", "ended": "finished", "fresh": "running"}
    assert (await live.json("/v1/runs/silent/log"))["state"] == "lost"
    assert (await live.json("/v1/runs/silent/log"))["status"] == "FAIL"
    for parameters in ({"status": "lost"}, {"where": "state = 'lost'"}):
        assert await states(live, **parameters) == {"silent": "lost"}
    assert await states(live, status="running") == {"fresh": "running"}
    assert await states(live, where="state in ('running', 'finished')") == {"ended": "finished", "fresh": "running"}

    await live.publish([silent.envelope(ev.Heartbeat(time=NOW))])

    assert await states(live, status="lost") == {}
    assert (await live.json("/v1/runs/silent/log"))["state"] == "running"


async def test_a_run_whose_writers_send_no_heartbeats_is_never_lost(live: Live, database: str) -> None:
    await live.publish([Author("silent").start(), Author("quiet").start(heartbeats=False)])

    assert await states(live) == {"silent": "lost", "quiet": "running"}
    assert (await live.json("/v1/runs/quiet/log"))["state"] == "running"
    assert await states(live, status="lost") == {"silent": "lost"}
    assert await states(live, status="running") == {"quiet": "running"}
    connection = await asyncpg.connect(database)
    try:
        view = await connection.fetch("SELECT run_id, state FROM runs_overview")
        assert {row["run_id"]: row["state"] for row in view} == {"silent": "lost", "quiet": "running"}
    finally:
        await connection.close()


async def test_the_time_until_lost_is_a_setting(kafka: str, topic: str, database: str, tmp_path: Path) -> None:
    age_s = time.time() - START / 1e6
    for lost_after_s, state in ((age_s + 86_400, "running"), (age_s - 86_400, "lost")):
        settings = settings_for(kafka, topic, database, tmp_path).model_copy(update={"lost_after_s": lost_after_s})
        async with serving(settings) as live:
            if state == "running":
                await live.publish([Author("run").start()])

            assert await states(live) == {"run": state}


async def test_the_view_shows_it_too_and_the_row_does_not(live: Live, database: str) -> None:
    await live.publish([Author("silent").start(), Author("fresh", time=NOW).start()])

    connection = await asyncpg.connect(database)
    try:
        view = {
            row["run_id"]: row["state"] for row in await connection.fetch("SELECT run_id, state FROM runs_overview")
        }
        await connection.execute("SET gateway.lost_after_s = '1e9'")
        patient = {
            row["run_id"]: row["state"] for row in await connection.fetch("SELECT run_id, state FROM runs_overview")
        }
        rows = {row["run_id"]: row["state"] for row in await connection.fetch("SELECT run_id, state FROM runs")}
    finally:
        await connection.close()

    assert view == {"silent": "lost", "fresh": "running"}
    assert patient == rows == {"silent": "running", "fresh": "running"}


async def test_states_are_found_through_an_index(live: Live, database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT run_id FROM runs r WHERE NOT r.deleted AND r.state = 'running' "
            "AND r.updated < (extract(epoch FROM now())::float8 - 90) * 1e6 ORDER BY r.created DESC LIMIT 50"
        )
    finally:
        await connection.close()

    assert "runs_by_state" in "\n".join(row[0] for row in plan)
