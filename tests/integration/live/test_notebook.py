"""A chart in a notebook shows what the store has, in the frames that its page reads."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.client.query import Api
from gateway.notebook import feed
from gateway.notebook.frames import decode
from gateway.notebook.widget import Chart
from schemas import events as ev
from tests.support.live_server import Live, serving, settings_for, until
from tests.support.log_author import Author

Points = dict[tuple[str, str], list[tuple[float, float, str]]]


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


class Page:
    """What the page of a chart holds: dashboard/src/widget/data.ts does the same."""

    def __init__(self, chart: Chart) -> None:
        self.points: Points = {}
        self.parts: list[tuple[dict[str, Any], Points]] = []
        self.number = -1
        self.take(chart.state)
        chart.observe(lambda change: self.take(change["new"]), "state")
        chart.send = lambda _, buffers=None: self.take(buffers[0])  # no kernel hears it

    def take(self, frame: bytes) -> None:
        """Take a frame."""
        head, columns = decode(frame)
        found = {
            (one["run_id"], one["series"]): [
                (step, time, repr(value)) for step, time, value in zip(*cells, strict=True)
            ]
            for one, cells in zip(head["series"], columns, strict=True)
        }
        if head["kind"] == "window":
            self.parts.append((head, found))
        elif head["kind"] == "all":
            self.number, self.points = head["number"], found
        elif head["number"] == self.number + 1:
            self.number = head["number"]
            for key, rows in found.items():
                self.points[key] = self.points.get(key, []) + rows


@contextmanager
def closing(chart: Chart) -> Iterator[Chart]:
    try:
        yield chart
    finally:
        chart.close()


async def shown(live: Live, *arguments: Any, **options: Any) -> Chart:
    """Return a chart, made in a thread: the API runs in this one."""
    return await asyncio.to_thread(gateway.chart, *arguments, api=Api(live.url), **options)


async def stored(live: Live, *runs: str) -> Points:
    """Return every point of runs as the exact export has them."""
    table = await asyncio.to_thread(gateway.read.points, runs, api=Api(live.url))
    found: Points = {}
    for row in table:
        point = (float(row["step"]), float(row["time"]), repr(row["value"]))
        found.setdefault((row["run_id"], row["series"]), []).append(point)
    return found


async def test_a_chart_shows_what_the_store_has_and_grows_with_it(live: Live) -> None:
    one, other = Author("one"), Author("other")
    await live.publish(
        [
            one.start(name="first"), one.metrics("loss", [3.0, math.nan, 1e300]), one.metrics("acc", [0.5]),
            other.start(), other.metrics("loss", [2.0, -math.inf]),
        ]
    )  # fmt: skip
    with closing(await shown(live, ["one", "other"])) as chart:
        page = Page(chart)
        head, _ = decode(chart.state)
        assert page.points == await stored(live, "one", "other")
        assert [(run["id"], run["name"]) for run in head["runs"]] == [("one", "first"), ("other", "")]
        assert [one["exact"] for one in head["series"]] == [True] * 3
        assert chart.problem == ""

        await live.publish([one.metrics("loss", [0.5, 0.25], first_step=3), other.metrics("new", [7.0, math.nan])])
        expected = await stored(live, "one", "other")
        await until(lambda: _is(page, expected), "the page has the new points")

        resumed = one.envelope(ev.RunResumed(time=one.now(), attempt=2))
        await live.publish(
            [resumed, one.metrics("loss", [9.0], first_step=1, attempt=2)]
        )  # steps from 1 on are replaced
        expected = await stored(live, "one", "other")
        assert expected["one", "loss"][-1][0] == 1
        await until(lambda: _is(page, expected), "the page has the points of the new attempt only")


async def test_points_that_are_not_folded_yet_stay_when_the_series_are_read_again(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = Author("ahead")
    await live.publish([author.start(), author.metrics("loss", [3.0, 2.0])])
    monkeypatch.setattr(feed, "REREAD_S", math.inf)
    with closing(await shown(live, "ahead", "loss")) as chart:
        page = Page(chart)
        resumed = author.envelope(ev.RunResumed(time=author.now(), attempt=2))
        await live.publish([resumed, author.metrics("loss", [9.0], first_step=1, attempt=2)])
        await until(lambda: _has(page, "ahead", [3.0, 2.0, 9.0]), "the page has the point of the new attempt")
        monkeypatch.setattr(feed, "REREAD_S", 0.0)
        await live.publish_unfolded([author.metrics("loss", [8.0], first_step=2, attempt=2)])
        await until(lambda: _has(page, "ahead", [3.0, 9.0, 8.0]), "the page has all points that count")


async def test_a_long_series_has_corners_and_its_parts_are_exact(live: Live) -> None:
    author = Author("long")
    values = [math.sin(at / 50) for at in range(12_000)]
    values[5_432] = 99.0
    pieces = [author.metrics("loss", values[at : at + 4_000], first_step=at) for at in range(0, 12_000, 4_000)]
    await live.publish([author.start(), *pieces])
    with closing(await shown(live, "long", "loss")) as chart:
        page = Page(chart)
        ((_, points),) = page.points.items()
        assert len(points) <= 4_000
        assert (5_432.0, "99.0") in [(step, value) for step, _, value in points]

        ask = {"kind": "window", "axis": "step", "from": 5_400, "to": 5_500}
        chart._handle_custom_msg(ask, [])
        await until(lambda: _has_part(page), "the part has come")
        head, part = page.parts[0]
        assert head["window"] == {"axis": "step", "from": 5_400, "to": 5_500}
        assert part["long", "loss"] == (await stored(live, "long"))["long", "loss"][5_400:5_501]


async def test_unknown_runs_and_too_many_series_are_said(live: Live) -> None:
    author = Author("wide")
    await live.publish([author.start(), *(author.metrics(f"m{number:03}", [1.0]) for number in range(205))])
    with pytest.raises(gateway.query.RunNotFound, match="absent"):
        await shown(live, "absent", "loss")
    with pytest.raises(gateway.query.ApiRefused):
        await shown(live, "wide", regex="(")
    with closing(await shown(live, "wide")) as chart:
        head, _ = decode(chart.state)
    assert (len(head["series"]), head["cut"].split(":")[0]) == (200, "5 more series are not shown")


async def _is(page: Page, expected: Points) -> bool:
    return page.points == expected


async def _has(page: Page, run_id: str, values: list[float]) -> bool:
    return [value for *_, value in page.points[run_id, "loss"]] == [repr(value) for value in values]


async def _has_part(page: Page) -> bool:
    return bool(page.parts)
