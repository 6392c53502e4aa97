"""An MCP client of `gateway mcp`: what it waits for, and the command over stdio."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from gateway.client.query import Api
from gateway.mcp.server import make_server
from tests.support.gateway_command import COMMAND, environment
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import Author

READING = {
    "alerts", "completeness", "diagnose", "diff", "find_runs", "first_divergence", "get_run", "list_series",
    "probe_experiment", "series", "wait_for", "why_failed",
}  # fmt: skip


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


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


@asynccontextmanager
async def asking(live: Live, *, write: bool = False) -> AsyncIterator[Asking]:
    async with Client(make_server(Api(live.url), write=write)) as client:
        yield Asking(client)


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
