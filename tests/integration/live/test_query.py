"""`gateway.query` asks the real API on a real log and a real store."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import pytest

import gateway
from gateway import query
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import ProducerId, RegistryEnvelope, encode
from tests.support.live_server import Live, serving, settings_for, training
from tests.support.log_author import START, Author, write_records


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
    first = await asyncio.to_thread(query.search_runs, "", order_by=["metrics.loss DESC"], limit=1)
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
    with pytest.raises(gateway.ClientError, match="order_by has 2 keys: runs are ordered by one"):
        query.search_runs(order_by=["metrics.loss DESC", "name"])


async def test_runs_belong_to_experiments_and_may_be_in_the_trash(live: Live) -> None:
    by_tag, by_id, moved, away, early = (Author(run_id) for run_id in ("tag", "id", "moved", "away", "early"))
    about = Subject("experiments", "7")
    created, renamed = ev.ExperimentCreated(time=START, name="digits"), ev.ExperimentRenamed(time=START, name="numbers")
    requests = [
        RegistryEnvelope(about, ProducerId("q1"), 0, START, created),
        RegistryEnvelope(about, ProducerId("q2"), 0, START, renamed),
    ]
    await write_records(live.settings.kafka, live.settings.topic, map(encode, requests))
    await live.publish([
        by_tag.start(tag="digits"), by_id.start(tag="x", experiment_id="7"), moved.start(tag="numbers"), away.start(),
        early.start(tag="letters", experiment_id="of an experiment that is not folded yet"),
        moved.envelope(ev.Moved(time=moved.now(), tag="letters")),
        away.envelope(ev.LifecycleStage(time=away.now(), stage="deleted")), away.metrics("loss", [1.0]),
    ])  # fmt: skip

    async def ids(where: str = "", stage: str = "active") -> list[str]:
        found = await asyncio.to_thread(lambda: query.search_runs(where, stage=stage))
        return sorted(run.id for run in found)

    assert await ids("experiment = 'numbers'") == ["id", "tag"]  # a tag that was its name before is its name still
    assert await ids("experiment = 'digits'") == []
    assert await ids("experiment IN ('letters', 'digits')") == ["early", "moved"]
    assert await ids("experiment LIKE 'letters'") == ["early", "moved"]
    assert await ids("experiment LIKE 'n%' AND NOT tag = 'x'") == ["tag"]
    assert await ids("experiment_id = '7'") == ["id", "tag"]
    assert (await ids(), await ids(stage="deleted")) == (["early", "id", "moved", "tag"], ["away"])
    assert await ids("experiment IS NULL", "all") == ["away"]
    run = await asyncio.to_thread(query.get_run, "away")
    log = await asyncio.to_thread(query.get_run_log, "tag")
    assert (run.lifecycle_stage, run.metrics, run.experiment) == ("deleted", {"loss": 1.0}, "")
    assert (log["tag"], log["experiment"], log["experiment_id"]) == ("digits", "numbers", "7")
    first = await asyncio.to_thread(lambda: query.search_runs(order_by="experiment", limit=1))
    assert [one.experiment for one in first] == ["letters"]


async def test_a_history_has_every_point_whatever_the_size_of_its_pages(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = Author("long")
    first, second = [float(n) for n in range(2_500)], [-1.0] * 800
    resumed = author.envelope(ev.RunResumed(time=author.now(), attempt=2))
    await live.publish([
        author.start(), author.metrics("loss", first), resumed,
        author.metrics("loss", second, first_step=1_900, attempt=2),
    ])  # fmt: skip

    expected = [*enumerate(first[:1_900]), *enumerate(second, 1_900)]
    for page in (1_900, 700, 1):
        monkeypatch.setattr(query, "PAGE_POINTS", page)
        some = await asyncio.to_thread(lambda: query.metric_history("long", "loss"))
        found = await asyncio.to_thread(list, islice(some, page * 5))
        assert [(point.step, point.value) for point in found] == expected[: page * 5]
    page = await live.json("/v1/runs/long/history", name="loss", limit=2)
    assert (page["points"][1][0], page["next_page_token"]) == (1, "1.2")
    assert (await live.json("/v1/runs/long/history", name="nothing"))["points"] == []
    refused = await live.get("/v1/runs/long/history", name="loss", page_token="x")
    assert (refused.status_code, "page_token" in refused.text) == (422, True)


async def test_a_run_that_is_not_there_is_one_clear_error(live: Live) -> None:
    for ask in (query.get_run, query.get_run_log, lambda run_id: list(query.metric_history(run_id, "loss"))):
        with pytest.raises(query.RunNotFound, match="no run 'nothing'"):
            await asyncio.to_thread(ask, "nothing")
