"""No answer grows with what a run has: series, points, parameters and runs come in pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consumers.live.api import runs as routes
from gateway.cli.lookup import names_of
from schemas import events as ev
from schemas.values import StringValue
from schemas.wire import Envelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import Author

SERIES = 10_000
PER_ENVELOPE = 1_000


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def many_series(run_id: str, count: int, *, points: int = 1) -> list[Envelope]:
    """Return a run with this many series, and one of the system."""
    author = Author(run_id)
    made = [author.start()]
    names = [f"layer{number % 10}/w{number}" for number in range(count)]
    for first in range(0, count, PER_ENVELOPE):
        made.append(author.envelope(metrics(author, names[first : first + PER_ENVELOPE], points)))
    system = ev.SystemMetrics(time=author.now(), series=[series("system/cpu", author.now(), 1)])
    return [*made, author.envelope(system)]


def metrics(author: Author, names: list[str], points: int) -> ev.Metrics:
    time = author.now()
    return ev.Metrics(time=time, series=[series(name, time, points) for name in names])


def series(name: str, time: int, points: int) -> ev.Series:
    steps = list(range(points))
    return ev.Series(name=name, steps=steps, times=[time + step for step in steps], values=[float(s) for s in steps])


async def all_pages(live: Live, path: str, field: str, **parameters: object) -> list[list[Any]]:
    """Return the items of every page."""
    pages: list[list[Any]] = []
    token: str | None = None
    while True:
        page = await live.json(path, **parameters, **({} if token is None else {"page_token": token}))
        pages.append(page[field])
        token = page["next_page_token"]
        if token is None:
            return pages


async def test_a_run_of_ten_thousand_series_is_read_in_windows(live: Live) -> None:
    await live.publish(many_series("wide", SERIES))
    window = await live.get("/v1/runs/wide/series", limit=48)
    page = window.json()
    unasked = await live.json("/v1/runs/wide/series")
    pages = await all_pages(live, "/v1/runs/wide/series", "series", limit=70, match="w99")
    log = await live.get("/v1/runs/wide/log", max_points=50, max_series=100)

    assert (len(page["series"]), page["total"], len(window.content) < 50_000) == (48, SERIES + 1, True)
    assert (len(unasked["series"]), unasked["next_page_token"] is None) == (routes.MAX_NAMES, False)
    names = [one["series"] for page in pages for one in page]
    assert ([len(page) for page in pages], len(set(names))) == ([70, 41], 111)
    assert (len(log.content) < 50_000, log.json()["truncated"]) == (True, ["series"])
    assert len(log.json()["steps"]["main"]["user_defined_metrics"]) == 100


async def test_a_command_knows_the_series_of_every_page(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_POINTS", 2)
    author = Author("run")
    names = [f"w{number}{{x}}" for number in range(5)]  # which the run log alone does not tell from labels
    await live.publish([author.start(), author.envelope(metrics(author, names, 1))])

    assert sorted(await asyncio.to_thread(names_of, live.url, "run", "series")) == names


async def test_every_series_is_on_a_page_however_long_its_names_are(live: Live) -> None:
    author = Author("run")
    names = ["\x01" * 1_024, "é" * 512, "loss"]
    labels: list[dict[str, str]] = [{}, {"a": "x" * 100_000 + "1"}, {"a": "x" * 100_000 + "2"}, {"b": "é" * 20_000}]
    await live.publish(
        [author.start()]
        + [
            author.envelope(
                ev.Metrics(
                    time=author.now(),
                    step_name="\x02" * 1_024,
                    series=[ev.Series(name=name, labels=one, steps=[0], times=[author.now()], values=[1.0])],
                )
            )
            for name in names
            for one in labels
        ]
    )

    pages = await all_pages(live, "/v1/runs/run/series", "series", limit=1)
    found = [(one["name"], one["labels"]) for page in pages for one in page]

    assert len(found) == len(names) * len(labels)
    assert all((name, one) in found for name in names for one in labels)


async def test_series_are_found_by_words_and_names(live: Live) -> None:
    labelled = Author("run")
    labels = {"rank": "3", "Subset": "a_b%"}
    named = ev.Metrics(
        time=labelled.now(),
        step_name="validate",
        series=[ev.Series(name="loss", labels=labels, steps=[0], times=[labelled.now()], values=[1.0])],
    )
    await live.publish([labelled.start(), labelled.metrics("loss", [1.0]), labelled.envelope(named)])

    async def found(**parameters: object) -> list[str]:
        page = await live.json("/v1/runs/run/series", **parameters)
        assert page["total"] == len(page["series"])
        return [one["series"] for one in page["series"]]

    written = "validate/loss{Subset=a_b%,rank=3}"
    assert await found() == ["loss", written]
    assert await found(match="LOSS") == ["loss", written]
    assert await found(match="rank=3  valid") == [written]
    assert await found(match="a_b%") == [written]
    assert await found(match="a%b") == []
    assert await found(name=written) == [written]
    assert await found(name=["loss", written, "other"]) == ["loss", written]
    assert await found(name="LOSS") == []
    refused = await live.get("/v1/runs/run/series", page_token="bm8")
    assert (refused.status_code, "page_token" in refused.json()["error"]) == (422, True)


async def test_a_page_ends_when_it_holds_enough_points(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    await live.publish(many_series("run", 5, points=20))
    monkeypatch.setattr(routes, "MAX_POINTS", 30)
    monkeypatch.setattr(routes, "MAX_LOG_POINTS", 12)

    pages = await all_pages(live, "/v1/runs/run/series", "series")
    log = await live.json("/v1/runs/run/log")

    assert pages[-1][-1]["series"] == "system/cpu"  # comes last
    assert [[one["count"] for one in page] for page in pages] == [[20, 20], [20, 20], [20, 1]]
    assert {len(values) for values in log["steps"]["main"]["user_defined_metrics"].values() if values != 0.0} == {2}
    assert set(log["shortened"].values()) == {20}


async def test_what_a_run_has_many_of_is_cut_in_its_log_and_said(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    author = Author("run")
    params = {f"p{number}": StringValue(value="x" * 1_000) for number in range(50)}
    await live.publish([author.start(), author.envelope(ev.Params(time=author.now(), params=params))])
    monkeypatch.setattr(routes, "MAX_LOG_ROWS", 20)
    cut = await live.json("/v1/runs/run/log")
    monkeypatch.setattr(routes, "MAX_LOG_ROWS", 50)
    whole = await live.json("/v1/runs/run/log")

    assert (len(cut["parameters"]), cut["truncated"]) == (20, ["params"])
    assert (len(whole["parameters"]), whole["truncated"]) == (50, [])


async def test_a_page_of_runs_ends_when_it_holds_enough_bytes(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [f"run-{number}" for number in range(7)]
    for run in runs:
        author = Author(run)
        params = {"text": StringValue(value="x" * 1_000)}
        await live.publish_unfolded([author.start(), author.envelope(ev.Params(time=author.now(), params=params))])
    await live.publish([])
    monkeypatch.setattr(routes, "MAX_PAGE_BYTES", 2_500)

    pages = await all_pages(live, "/v1/runs", "runs")

    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert sorted(one["run_id"] for page in pages for one in page) == runs
