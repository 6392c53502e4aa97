"""`gateway.query` asks the real API on a real log and a real store."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import gateway
from gateway import query
from tests.support.live_server import Live, serving, settings_for, training


@pytest.fixture
async def live(
    kafka: str, topic: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        monkeypatch.setenv("GATEWAY_LIVE_URL", running.url)
        yield running


async def test_runs_are_read_and_searched(live: Live) -> None:
    await live.publish([*training("one", values=(0.5, math.inf, 0.25)), *training("two", values=(0.75,))])

    run = await asyncio.to_thread(gateway.query.get_run, "one")
    log = await asyncio.to_thread(query.get_run_log, "one")
    history = await asyncio.to_thread(lambda: list(query.metric_history("one", "loss")))
    found = await asyncio.to_thread(query.search_runs, "metrics.loss > 0.3 AND params.o = 'adam'")
    first = await asyncio.to_thread(query.search_runs, "", order_by="metrics.loss DESC", limit=1)
    rest = await asyncio.to_thread(
        lambda: query.search_runs(order_by="metrics.loss DESC", page_token=first.next_page_token)
    )

    assert (run.id, run.state, run.metrics, run.params["lr"]) == ("one", "finished", {"loss": 0.25}, 0.1)
    assert run.duration_s == pytest.approx((run.document["ended"] - run.document["started"]) / 1e6)
    assert log["steps"]["main"]["user_defined_metrics"] == {"loss": {"0": 0.5, "1": "Infinity", "2": 0.25}}
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, math.inf), (2, 0.25)]
    assert [one.id for one in found] == ["two"]
    assert ([one.id for one in first], [one.id for one in rest]) == (["two"], ["one"])
    assert rest.next_page_token is None


async def test_a_run_that_is_not_there_is_one_clear_error(live: Live) -> None:
    for ask in (query.get_run, query.get_run_log, lambda run_id: list(query.metric_history(run_id, "loss"))):
        with pytest.raises(query.RunNotFound, match="no run 'nothing'"):
            await asyncio.to_thread(ask, "nothing")
