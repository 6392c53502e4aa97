"""A scripted MCP client asks every tool of `gateway mcp`; the answers equal those of SQL."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from consumers.store.pool import open_database
from gateway.client.query import Api
from gateway.mcp.server import make_server
from schemas import events as ev
from schemas.columns import float_to_json
from schemas.values import FloatValue
from schemas.wire import Envelope
from tests.support.gateway_command import COMMAND, environment
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author

READING = {
    "alerts", "completeness", "diagnose", "diff", "find_runs", "first_divergence", "get_run", "list_series",
    "probe_experiment", "series", "wait_for", "why_failed",
}  # fmt: skip
POINTS = 3_000
SPIKE, BROKEN = 1_234, 2_000


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def losses(*, spike: bool) -> list[float]:
    values = [math.exp(-n / 500) + 0.01 * math.sin(n * 1.7) for n in range(POINTS)]
    if spike:
        values[SPIKE], values[BROKEN] = 50.0, math.nan
    return values


def recorded() -> list[Envelope]:
    """Return a run that failed, with a spike, a NaN and console lines, and one like it that is running."""
    bad, good = Author("bad"), Author("good", time=START + 10**10)
    found = []
    for author, lr in ((bad, 0.1), (good, 0.01)):
        values = losses(spike=author is bad)
        found += [
            author.start(name=f"name of {author.run_id}", tag="digits"),
            author.envelope(ev.Params(time=author.now(), params={"lr": FloatValue(value=lr)})),
            *(author.metrics("loss", values[at : at + 1_000], first_step=at) for at in range(0, POINTS, 1_000)),
        ]
    lines = [f"line {number}" for number in range(200)] + ["CUDA out of memory"]
    text = ev.ConsoleText(time=bad.now(), stream="stderr", lines=lines, times=[bad.now() for _ in lines])
    return [*found, bad.envelope(text), bad.envelope(ev.RunFailed(time=bad.now(), message="out of memory"))]


class Asking:
    """An MCP client of the server, and the store."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer of a tool."""
        result = await self.client.call_tool(tool, arguments)
        text = result.content[0].text  # type: ignore[union-attr]  # every answer is text
        assert not result.is_error, text
        found: dict[str, Any] = json.loads(text)
        return found

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Return the error of a tool."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.content
        return str(result.content[0].text)  # type: ignore[union-attr]  # as above

    async def all_rows(self, tool: str, **arguments: Any) -> list[list[Any]]:
        """Return the rows of all pages of an answer; no page has any in silence."""
        rows: list[list[Any]] = []
        cursor: str | None = None
        while True:
            page = await self.ask(tool, **arguments, **({"cursor": cursor} if cursor else {}))
            assert (page["from_row"], page["shown"]) == (len(rows), len(page["rows"]))
            rows += page["rows"]
            cursor = page["cursor"]
            if cursor is None:
                assert page["count"] == len(rows)
                return rows


@asynccontextmanager
async def asking(live: Live, *, write: bool = False) -> AsyncIterator[Asking]:
    async with Client(make_server(Api(live.url), write=write)) as client:
        yield Asking(client)


async def stored(live: Live, run_id: str) -> list[list[Any]]:
    """Return the points of `loss` of a run from PostgreSQL: step, time, value."""
    db = await open_database(live.settings.postgres.get_secret_value())
    try:
        async with db.acquire() as connection:
            rows = await connection.fetch(
                "SELECT step, time, value FROM metric_points WHERE run_id = $1 AND name = 'loss' ORDER BY step", run_id
            )
    finally:
        await db.close()
    return [[row["step"], row["time"], float_to_json(row["value"])] for row in rows]


async def test_every_tool_answers_what_the_store_has(live: Live) -> None:
    await live.publish(recorded())
    bad, good = await stored(live, "bad"), await stored(live, "good")
    async with asking(live) as mcp:
        tools = {tool.name: tool for tool in (await mcp.client.list_tools()).tools}
        assert set(tools) == READING
        assert all(tool.annotations and tool.annotations.read_only_hint and tool.description for tool in tools.values())

        probe = await mcp.ask("probe_experiment", experiment="digits")
        assert (probe["runs"], probe["states"]) == (2, {"failed": 1, "lost": 1})
        assert {row[0]: row[2] for row in probe["rows"]}["params.lr"] == 2

        found = await mcp.all_rows(
            "find_runs", where="params.lr > 0", columns=["state", "max(metrics.loss)"], max_tokens=200
        )
        assert found == [["good", "lost", max(value for *_, value in good)], ["bad", "failed", 50.0]]

        exact = await mcp.all_rows("series", runs=["bad"], names=["loss"], from_x=1_900, to_x=2_100, buckets=1_000)
        assert [row[2:] for row in exact] == [point for point in bad if 1_900 <= point[0] <= 2_100]
        whole = await mcp.ask("series", runs=["bad"], names=["loss"], buckets=20)
        about = whole["about"]["bad loss"]
        finite = [point[2] for point in bad if point[2] != "NaN"]
        assert (whole["exact"], about["exact"], about["count"], about["non_finite"]) == (False, False, POINTS, 1)
        assert (about["min"], about["max"], about["last"]) == (min(finite), 50.0, bad[-1][2])
        assert [SPIKE, bad[SPIKE][1], 50.0] in [row[2:] for row in whole["rows"]]

        assert [row[:3] for row in await mcp.all_rows("list_series", run="bad")] == [["loss", POINTS, 1]]
        run = await mcp.ask("get_run", run="bad")
        assert (run["state"], ["param", "lr", 0.1] in run["rows"]) == ("failed", True)

        kinds = [(row[0], row[2]) for row in await mcp.all_rows("diagnose", run="bad")]
        assert {("nan", BROKEN), ("spike", SPIKE)} <= set(kinds)

        whether = await mcp.ask("completeness", run="bad")
        assert (whether["complete"], len(whether["rows"]), whether["rows"][0][3]) == (False, 1, [])

        for answer in (probe, whole, run, whether):
            assert {"exact", "count", "offset", "link", "cursor", "cut"} <= answer.keys()
            assert answer["link"].startswith(live.url)
            assert answer["offset"]

        assert "no run 'absent'" in await mcp.refused("get_run", run="absent")
        assert "expected" in await mcp.refused("find_runs", where="metrics.loss <")
        assert "condition" in await mcp.refused("wait_for", run="bad", condition="soon")
        await mcp.refused("set_note", run="bad", note="x")  # only with --write


async def test_runs_are_compared_and_explained(live: Live) -> None:
    await live.publish(recorded())
    async with asking(live) as mcp:
        diff = await mcp.all_rows("diff", runs=["bad", "good"])
        assert ["params", "lr", True, 0.1, 0.01] in diff
        first = await mcp.ask("first_divergence", a="bad", b="good", names=["loss"])
        assert (first["first"]["step"], first["first"]["a"]) == (SPIKE, 50.0)

        why = await mcp.ask("why_failed", run="bad", lines=3, max_tokens=2_000)
        assert (why["message"], why["series_with_nan_or_infinity"]) == ("out of memory", ["loss"])
        assert [row[2] for row in why["rows"] if row[0] == "console"] == ["line 198", "line 199", "CUDA out of memory"]

        assert (await mcp.ask("alerts", state="all"))["rows"] == []
        for answer in (first, why):
            assert {"exact", "count", "offset", "link", "cursor", "cut"} <= answer.keys()


async def test_waiting_ends_with_the_point_that_is_waited_for_and_misses_nothing(live: Live) -> None:
    author = Author("live")
    await live.publish([author.start(), author.metrics("loss", [3.0, 2.0])])
    async with asking(live) as mcp:
        already = await mcp.ask("wait_for", run="live", condition="loss <= 2")
        not_yet = await mcp.ask("wait_for", run="live", condition="loss < 1", timeout_s=0.2)
        await live.publish([author.metrics("loss", [1.5, 0.5, 0.25], first_step=2)])  # while no call waits
        missed = await mcp.ask("wait_for", run="live", condition="loss < 1", since_offset=not_yet["offset"])
        waiting = asyncio.create_task(
            mcp.ask("wait_for", run="live", condition="ended", since_offset=missed["offset"], timeout_s=120)
        )
        await live.publish([author.finish()])
        ended = await waiting

    assert (already["met"], already["found"]["last"]) == (True, 2.0)
    assert (not_yet["met"], "call again with since_offset" in not_yet["why"]) == (False, True)
    assert (missed["met"], missed["found"]["step"], missed["found"]["value"]) == (True, 3, 0.5)
    assert (ended["met"], ended["found"]["state"]) == (True, "finished")


async def test_the_command_serves_stdio(live: Live) -> None:
    await live.publish([Author("one").start(name="first")])
    variables = environment(GATEWAY_LIVE_URL=live.url)
    command = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], "mcp", "--write"], env=variables, cwd=sys.prefix
    )
    async with Client(stdio_client(command)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        mcp = Asking(client)
        edited = await mcp.ask("set_tags", run="one", tags={"team": "x"})
        await mcp.ask("set_note", run="one", note="looks good")

    assert names == READING | {"set_tags", "set_note"}
    assert edited["done"]
