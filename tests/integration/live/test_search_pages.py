"""Lists of runs, page by page: each run appears once, even if runs are added between the pages."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from schemas import events as ev
from schemas.values import FloatValue, StringValue
from schemas.wire import Envelope
from tests.support.gateway_command import gateway_with
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author

LOSSES = [0.5, 0.5, 0.1, math.nan, -math.inf, None, 0.5, math.inf, None, 0.2, -0.0, 0.0]
ORDERS = ["created", "metrics.loss", "params.lr", "tags.team", "name", "state", "started", "ended", "points"]


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def some_runs(first: str, *, at: int) -> Iterator[Envelope]:
    """Yield runs, some with the same time, loss or tags; some never start, some never end."""
    for number, loss in enumerate(LOSSES):
        author = Author(f"{first}{number:02}", time=START + (at + number // 3) * 1_000_000)
        yield author.start(name="é" * 300) if number % 4 else author.envelope(ev.Note(time=author.now(), text="only"))
        if number % 3:
            value = FloatValue(value=number % 2) if number % 5 else StringValue(value="auto")
            yield author.envelope(ev.Params(time=author.now(), params={"lr": value}))
            yield author.envelope(ev.Tags(time=author.now(), tags={"team": "xy"[number % 2] * 300}))
        if loss is not None:
            yield author.metrics("loss", [loss])
        if number % 4 > 1:
            yield author.finish()


async def read_page(live: Live, **parameters: object) -> tuple[list[str], str | None]:
    page = await live.json("/v1/runs", **{name: value for name, value in parameters.items() if value is not None})
    return [run["run_id"] for run in page["runs"]], page["next_page_token"]


async def read_pages(live: Live, *, limit: int, **parameters: object) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        ids, token = await read_page(live, limit=limit, page_token=token, **parameters)
        found += ids
        if token is None:
            return found
        assert len(ids) == limit


@pytest.mark.parametrize("direction", ["", " desc"])
async def test_pages_of_any_size_put_together_are_the_whole_list(live: Live, direction: str) -> None:
    await live.publish(some_runs("r", at=1))

    whole = {order: await read_pages(live, limit=100, order_by=order + direction) for order in ORDERS}
    pages = {
        (order, limit): await read_pages(live, limit=limit, order_by=order + direction)
        for order in ORDERS
        for limit in (1, 3, 4, 12)
    }

    assert {len(set(ids)) for ids in whole.values()} == {len(LOSSES)}
    assert pages == {(order, limit): whole[order] for order, limit in pages}


async def test_the_newest_come_page_by_page_too(live: Live) -> None:
    await live.publish(some_runs("r", at=1))

    whole = await read_pages(live, limit=100)
    narrowed = await read_pages(live, limit=2, where="metrics.loss is not null")

    assert await read_pages(live, limit=5) == whole
    assert narrowed == [run for run in whole if LOSSES[int(run[1:])] is not None]


@pytest.mark.parametrize("order", [None, "metrics.loss", "metrics.loss desc", "tags.team", "started desc", "points"])
async def test_runs_added_between_pages_neither_repeat_nor_displace_others(live: Live, order: str | None) -> None:
    await live.publish(some_runs("r", at=10))
    before = await read_pages(live, limit=100, order_by=order)

    found, token = await read_page(live, limit=3, order_by=order)
    moments = [0, 10, 20]  # older, at the same times, newer
    while token is not None:
        if moments:
            at = moments.pop()
            await live.publish(some_runs(f"added-{at}-", at=at))
        ids, token = await read_page(live, limit=3, order_by=order, page_token=token)
        found += ids

    assert moments == []
    assert [run for run in found if run.startswith("r")] == before
    assert len(set(found)) == len(found)


async def test_a_token_of_another_list_or_a_damaged_one_is_refused(live: Live) -> None:
    await live.publish(some_runs("r", at=1))
    asked: dict[str, object] = {"where": "metrics.loss < 1", "order_by": "metrics.loss"}
    _, token = await read_page(live, limit=2, **asked)
    assert token is not None

    async def refusal(token: str, **parameters: object) -> str:
        answer = await live.get("/v1/runs", page_token=token, **parameters)
        assert (answer.status_code, answer.json()["next"].startswith("leave it out")) == (422, True)
        return str(answer.json()["error"])

    foreign = "parameter page_token: it belongs to a list with another filter or order"
    assert await refusal(token) == foreign
    assert await refusal(token, **asked | {"order_by": "metrics.loss desc"}) == foreign
    assert await refusal(token, **asked, status="failed") == foreign
    broken = {await refusal(one, **asked) for one in ("", "a", "é", "\x00", token[:-3], token[3:], "a" * 400)}
    assert broken == {"parameter page_token: it is not a token of this API, or only a part of one"}
    assert (await live.get("/v1/runs", page_token=token, **asked)).status_code == 200
    assert (await live.get("/v1/runs", page_token="a" * 10_001)).status_code == 422


async def test_the_command_finds_sorts_and_pages(live: Live) -> None:
    await live.publish(some_runs("r", at=1))
    narrow = ["--where", "metrics.loss <= 0.2 and not state = 'failed'", "--order-by", "metrics.loss desc"]
    variables = {"GATEWAY_LIVE_URL": live.url, "GATEWAY_HOME": str(live.settings.home)}

    async def command(*more: str) -> tuple[int, str, str]:
        done = await asyncio.to_thread(gateway_with, variables, "runs", "list", *narrow, *more)
        return done.returncode, done.stdout, done.stderr

    _, first, _ = await command("--limit", "3", "--json")
    token = json.loads(first)["next_page_token"]
    _, second, _ = await command("--limit", "3", "--page-token", token, "--json")
    shown = await command("--limit", "3")
    refused = await command("--page-token", token[:-4])

    assert [run["run_id"] for run in json.loads(first)["runs"]] == ["r09", "r02", "r10"]
    assert [run["run_id"] for run in json.loads(second)["runs"]] == ["r11", "r04"]
    assert json.loads(second)["next_page_token"] is None
    assert (shown[0], f"--page-token {token}" in shown[2]) == (0, True)
    assert [line.split()[0] for line in shown[1].splitlines()] == ["run", "r09", "r02", "r10"]
    assert refused[0] == 2
    assert "page_token: it is not a token of this API" in refused[2]
