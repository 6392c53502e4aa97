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

import httpx
import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from consumers.store.pool import open_database
from gateway.client.query import Api
from gateway.local.ports import free_ports
from gateway.mcp.server import PATH, http_app, make_server
from schemas import events as ev
from schemas.columns import float_to_json
from schemas.runtime.access.tokens import create_token
from schemas.values import FloatValue
from schemas.wire import Envelope
from tests.support.gateway_command import COMMAND, environment
from tests.support.live_server import Live, serving, settings_for, until
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
        """Return the error of a tool, which must refuse."""
        said = await self.said(tool, **arguments)
        assert said, f"{tool} takes {arguments}"
        return said

    async def said(self, tool: str, **arguments: Any) -> str:
        """Return the error of a tool; "" where it answers."""
        result = await self.client.call_tool(tool, arguments)
        return str(result.content[0].text) if result.is_error else ""  # type: ignore[union-attr]  # as above

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


async def alerts_of(live: Live) -> list[tuple[Any, ...]]:
    """Return the firings that the store has, newest first."""
    db = await open_database(live.settings.postgres.get_secret_value())
    try:
        async with db.acquire() as connection:
            rows = await connection.fetch(
                "SELECT CASE WHEN resolved IS NULL THEN 'firing' ELSE 'resolved' END, run_id, series, fired, step,"
                " value FROM alerts ORDER BY fired DESC, alert_id DESC"
            )
    finally:
        await db.close()
    return [(*list(row)[:5], None if row["value"] is None else float_to_json(row["value"])) for row in rows]


async def fire(live: Live, count: int) -> None:
    """Store firings as the alerts process does: some of them NaN, every third resolved."""
    db = await open_database(live.settings.postgres.get_secret_value())
    try:
        async with db.acquire() as connection:
            await connection.execute(
                "INSERT INTO alerts (alert_id, rule_id, version, name, severity, targets, run_id, series, fired,"
                " resolved, step, value, message, muted) SELECT gen_random_uuid(), 'r' || n % 7, 1, 'loss is high',"
                " 'warning', '{}', 'run' || n % 5, 'loss', 1000 + n / 2, CASE WHEN n % 3 = 0 THEN 5000 END, n,"
                " CASE WHEN n % 10 = 0 THEN 'NaN'::float8 ELSE n END, 'loss was ' || n, false"
                " FROM generate_series(1, $1) AS n",
                count,
            )
    finally:
        await db.close()


async def test_alerts_that_fired_are_all_there(live: Live) -> None:
    await fire(live, 1_203)  # more than a page of the API
    stored = await alerts_of(live)
    chosen = ["state", "run_id", "series", "fired", "step", "value"]
    async with asking(live) as mcp:
        questions: list[tuple[dict[str, str], list[tuple[Any, ...]]]] = [
            ({"state": "all"}, stored),
            ({}, [one for one in stored if one[0] == "firing"]),
            ({"state": "resolved", "run": "run3"}, [one for one in stored if one[:2] == ("resolved", "run3")]),
        ]
        for asked, expected in questions:
            first = await mcp.ask("alerts", **asked)
            at = [first["columns"].index(name) for name in chosen]
            rows = await mcp.all_rows("alerts", max_tokens=20_000, **asked)
            assert [tuple(row[one] for one in at) for row in rows] == expected
            assert (first["exact"], first["count"], first["cut"]) == (True, len(expected), "")


HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("find_runs", {"where": "(" * 5_000}),
    ("find_runs", {"where": "name = 'a\u0000'"}),
    ("find_runs", {"columns": ["params."]}),
    ("find_runs", {"columns": [f"params.p{number}" for number in range(5_000)]}),
    ("find_runs", {"order_by": "loss; DROP TABLE runs"}),
    ("find_runs", {"cursor": "7@x"}),
    ("find_runs", {"cursor": "999999999999@"}),
    ("probe_experiment", {"where": "metrics.loss <"}),
    ("get_run", {"run": "../../v1/me"}),
    ("get_run", {"run": "\u0000"}),
    ("get_run", {"run": ""}),
    ("list_series", {"run": "absent"}),
    ("list_series", {"run": "bad", "regex": "(", "prefix": "x"}),
    ("series", {"runs": ["bad"], "regex": "("}),
    ("series", {"runs": []}),
    ("series", {"runs": ["absent"]}),
    ("series", {"runs": ["bad"], "names": ["loss"], "axis": "epoch", "from_x": 0}),
    ("series", {"runs": ["bad"], "names": ["loss"], "buckets": 0}),
    ("series", {"runs": ["bad"], "names": ["loss"], "from_x": 1e308, "to_x": -1e308}),
    ("series", {"runs": "bad", "names": 3}),
    ("series", {"runs": ["bad"], "names": ["loss"], "start": 10, "end": 20}),
    ("find_runs", {"filter": "state = 'failed'"}),
    ("diff", {"runs": ["bad"]}),
    ("diff", {"runs": ["bad", "absent"]}),
    ("first_divergence", {"a": "bad", "b": "absent"}),
    ("first_divergence", {"a": "bad", "b": "good", "absolute": -1}),
    ("diagnose", {"run": "bad", "regex": "["}),
    ("why_failed", {"run": "bad", "lines": 0}),
    ("why_failed", {"run": "absent"}),
    ("completeness", {"run": "absent"}),
    ("wait_for", {"run": "absent", "condition": "ended"}),
    ("wait_for", {"run": "bad", "condition": "loss < nan"}),
    ("wait_for", {"run": "bad", "condition": "loss < 1", "since_offset": "yesterday"}),
    ("alerts", {"state": "burning"}),
    ("set_note", {"run": "absent", "note": "x"}),
    ("set_tags", {"run": "bad", "tags": {"": "x"}}),
]


async def test_wrong_arguments_get_an_error_that_says_what_to_do(live: Live) -> None:
    await live.publish(recorded())
    async with asking(live, write=True) as mcp:
        said = {f"{tool} {arguments!r:.80}": await mcp.said(tool, **arguments) for tool, arguments in HOSTILE}
        alive = await mcp.ask("find_runs", where="state = 'failed'")
        misspelt = await mcp.ask("find_runs", where="metrics.los < 1 and params.lr < 1")
    assert (misspelt["count"], misspelt["unknown"]) == (0, ["no run has metrics.los: did you mean 'loss'?"])
    vague = ("Internal", "Traceback", "object has no attribute", "cannot convert")
    assert {asked: text for asked, text in said.items() if len(text) < 40 or any(one in text for one in vague)} == {}
    assert alive["count"] == 1


async def test_what_an_answer_leaves_out_is_said(live: Live) -> None:
    author = Author("many")
    values = [float(at % 2) + (1_000.0 if at % 40 == 39 else 0.0) for at in range(800)]  # 20 spikes
    wide = [author.metrics(f"m{at:04}", [1.0]) for at in range(1_001)]
    await live.publish([author.start(), author.metrics("loss", values), *wide, author.finish()])
    async with asking(live) as mcp:
        whole = await mcp.all_rows("diagnose", run="many", prefix="loss")
        said = await mcp.ask("diagnose", run="many", prefix="loss")
        assert sum(row[0] == "spike" for row in whole) == 10
        assert (said["exact"], "spikes of loss the 10 most extreme" in said["cut"]) == (False, True)
        some = await mcp.ask("diagnose", run="many")
        assert "only 500 of 1,002 series" in some["cut"]
        assert "1,002 series match" in await mcp.refused("series", runs=["many"])
        assert len(await mcp.all_rows("list_series", run="many", max_tokens=8_000)) == 1_002

        done = await mcp.ask("completeness", run="many")
        open_yet = await mcp.ask("wait_for", run="many", condition="failed", timeout_s=0.1)
        assert (done["rows"][0][2], open_yet["met"], open_yet["why"]) == (
            None, False, "the run has ended: nothing more will come",
        )  # fmt: skip


@asynccontextmanager
async def over_http(live: Live, home: Path) -> AsyncIterator[str]:
    """Yield the address of an MCP server over HTTP whose tokens are in `home`."""
    (port,) = free_ports(1)
    settings = live.settings.model_copy(update={"home": home})
    app = http_app(make_server(Api(live.url)), settings, "127.0.0.1", write=False)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="on"))
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: _has_started(server), "the MCP server answers")
        yield f"http://127.0.0.1:{port}{PATH}"
    finally:
        server.should_exit = True
        await task


async def _has_started(server: uvicorn.Server) -> bool:
    return server.started


async def test_over_http_each_request_needs_a_token_that_may_read_everything(live: Live, tmp_path: Path) -> None:
    await live.publish([*recorded(), Author("secret").start(tag="others")])
    tokens = tmp_path / "mcp" / "tokens.json"
    tokens.parent.mkdir()
    texts = {
        "reads": create_token(tokens, "reads", ["read"])[1],
        "emits": create_token(tokens, "emits", ["emit"])[1],
        "limited": create_token(tokens, "limited", ["read"], experiments=["digits"])[1],
    }
    async with over_http(live, tokens.parent) as url:
        hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answers: dict[str, int] = {}
        async with httpx.AsyncClient(trust_env=False) as http:
            for name, text in {**texts, "without": "", "wrong": "gw_x_y"}.items():
                headers = {"Authorization": f"Bearer {text}"} if text else {}
                answers[name] = (await http.post(url, json=hello, headers=headers)).status_code
            foreign = await http.post(url, json=hello, headers={"Host": "evil.example"})
        assert {name: answers[name] for name in ("emits", "limited", "without", "wrong")} == {
            "emits": 403, "limited": 403, "without": 401, "wrong": 401,
        }  # fmt: skip
        assert answers["reads"] not in (401, 403)
        assert foreign.status_code in (400, 401, 403, 421)
        headers = {"Authorization": f"Bearer {texts['reads']}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as named,
            Client(streamable_http_client(url, http_client=named)) as client,
        ):
            assert {tool.name for tool in (await client.list_tools()).tools} == READING
            assert (await Asking(client).ask("find_runs", columns=["state"]))["count"] == 3

    # Over stdio the server has a token of its own: one that is limited sees its experiments only.
    text = create_token(tmp_path / "tokens.json", "anna", ["read"], experiments=["digits"])[1]
    anna = Api(live.url, text)
    await until(lambda: _knows(live, text), "the token is in force")
    async with Client(make_server(anna)) as client:
        mcp = Asking(client)
        assert (await mcp.ask("find_runs", columns=["state"]))["count"] == 2
        assert "no run 'secret'" in await mcp.refused("get_run", run="secret")
        assert "secret" in await mcp.refused("wait_for", run="secret", condition="ended", timeout_s=1)
        await mcp.refused("alerts")


async def _knows(live: Live, text: str) -> bool:
    answer = await live.http.get("/v1/me", headers={"Authorization": f"Bearer {text}"})
    return answer.status_code == 200 and answer.json()["name"] == "anna"
