"""Points of many runs: sorted, each once, in pages and in samples, whatever their order in the log."""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from schemas import events as ev
from schemas.wire import Envelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author

Row = tuple[str, int, int, float | str]  # run, ms, step, value


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def rows_of(page: Mapping[str, Any]) -> list[Row]:
    return [
        (run["run_id"], time, step, value)
        for run in page["runs"]
        for step, time, value in zip(run["steps"], run["times_ms"], run["values"], strict=True)
    ]


def recorded(author: Author, points: list[tuple[int, int, float]]) -> Envelope:
    """Return an event with these points: ms after START, step, value."""
    times, steps, values = zip(*points, strict=True)
    series = ev.Series(
        name="loss",
        steps=array("q", steps),
        values=array("d", values),
        times=array("q", [START + t * 1000 for t in times]),
    )
    return author.envelope(ev.Metrics(time=author.now(), series=[series]))


def expected(runs: Mapping[str, list[tuple[int, int, float]]], *, by_step: bool = False) -> list[Row]:
    """Return the distinct points of runs in order."""
    found: list[Row] = []
    for run_id, points in sorted(runs.items()):
        keys = {(s, t, v) if by_step else (t, s, v) for t, s, v in points}
        for first, second, value in sorted(keys):
            time, step = (second, first) if by_step else (first, second)
            found.append((run_id, START // 1000 + time, step, value))
    return found


async def test_points_are_sorted_and_each_once_whatever_the_size_of_a_page(live: Live) -> None:
    random = Random(5)
    runs: dict[str, list[tuple[int, int, float]]] = {
        "even": [(n, n, n / 7) for n in range(2_600)],
        "jumbled": [(n + random.randrange(40), random.randrange(-50, 50), float(n % 3)) for n in range(2_500)],
        "one-step": [(n // 3, 0, float(n % 2)) for n in range(1_500)],
    }
    envelopes = []
    for run_id, points in runs.items():
        author = Author(run_id)
        envelopes += [author.start(), *(recorded(author, points[n : n + 700]) for n in range(0, len(points), 700))]
    await live.publish(envelopes)
    asked: dict[str, Any] = {"run_id": ["one-step", "even", "nothing", "jumbled"], "name": "loss"}
    whole = expected(runs)

    for limit, since in [(200_000, 0), (2_600, 0), (997, 0), (997, 301), (200_000, 1_222)]:
        since_ms = START // 1000 + since
        found: list[Row] = []
        token: dict[str, str] = {}
        while True:
            page = await live.json("/v1/points", **asked, limit=limit, since_ms=since_ms, **token)
            found += rows_of(page)
            if page["next_page_token"] is None:
                break
            token = {"page_token": page["next_page_token"]}
        assert found == [row for row in whole if row[1] >= since_ms]

    for steps in ({}, {"first_step": -10, "last_step": 1_203}):
        for count in (1, 7, 2_500):
            page = await live.json("/v1/points/sample", **asked, count=count, **steps)
            rows: list[Row] = []
            for run_id, points in sorted(runs.items()):
                inside = [p for p in points if not steps or -10 <= p[1] <= 1_203]
                rows += sample(expected({run_id: inside}, by_step=True), count)
            assert rows_of(page) == rows
    refused = await live.get("/v1/points", **asked, page_token="x")
    assert (refused.status_code, "page_token" in refused.text) == (422, True)


def sample(rows: list[Row], count: int) -> list[Row]:
    if len(rows) <= count:
        return rows
    size, larger = divmod(len(rows), count)
    return [*(rows[n * size + min(n, larger)] for n in range(count - 1)), rows[-1]]


async def test_values_that_are_not_finite_and_attempts_that_repeat_steps(live: Live) -> None:
    author = Author("one")
    resumed = author.envelope(ev.RunResumed(time=author.now(), attempt=2))
    await live.publish([
        author.start(), author.metrics("loss", [0.0, math.nan, math.inf, 3.0]), resumed,
        author.metrics("loss", [-math.inf, 5.0], first_step=3, attempt=2),
    ])  # fmt: skip

    for path in ("/v1/points", "/v1/points/sample"):
        (run,) = (await live.json(path, run_id="one", name="loss"))["runs"]
        assert (run["steps"], run["values"]) == ([0, 1, 2, 3, 4], [0.0, "NaN", "Infinity", "-Infinity", 5.0])
    assert (await live.json("/v1/points", run_id="one", name="lo"))["runs"] == []
