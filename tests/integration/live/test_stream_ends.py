"""Streams of topics that end: of a reader that takes nothing, of an API that is killed, and of one that stops."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from consumers.live.api.streams import opening
from schemas.columns import float_from_json
from tests.support.live_server import DEADLINE_S, Live, fold, serving, settings_for, until
from tests.support.log_author import Author, write
from tests.support.machine import allowed
from tests.support.python_process import PythonProcess
from tests.support.topic_streams import follow


async def test_one_that_never_reads_is_dropped_with_a_reason_while_the_others_have_every_point(
    kafka: str, topic: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "STALLED_S", 3.0)
    author, others, batches = Author("run"), 40, 100
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:
        subscribers = live.server.connections.subscribers
        with socket.create_connection((live.settings.live_host, live.settings.live_port)) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            slow.sendall(b"GET /v1/stream/series?run_id=run HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: count_is(live, 1), "it listens")
            seen = [list[int]() for _ in range(others)]
            watching = [asyncio.create_task(watch(live, batches * 500 - 1, found)) for found in seen]
            await until(lambda: count_is(live, others + 1), "all listen")
            records = [author.metrics("loss", [0.123456789] * 500, first_step=500 * at) for at in range(batches)]
            for first in range(0, batches, 10):
                await live.publish_unfolded(records[first : first + 10])
                sent = (first + 10) * 500
                await until(lambda: have_seen(seen, sent), "the others have them: of one behind, points are left out")  # noqa: B023
            sending = asyncio.create_task(send_until_overrun(live, author))  # as a training that continues
            await until(lambda: has_overrun(live), "it is dropped")
            slow.settimeout(DEADLINE_S)
            text = await asyncio.to_thread(read_all, slow)
            await asyncio.gather(*watching)
            assert seen == [list(range(batches * 500))] * others
            assert subscribers.overruns == 1
            await sending
    assert text.endswith(b"0\r\n\r\n")
    assert b'event: dropped\ndata: {"reason":"the reader took nothing for 3 s' in text[-1_000:]


async def send_until_overrun(live: Live, author: Author) -> None:
    first = 1_000_000
    while not await has_overrun(live):
        values = [0.123456789] * 1_000
        await live.publish_unfolded([author.metrics("loss", values, first_step=first + 1_000 * at) for at in range(20)])
        first += 20_000


def read_all(connection: socket.socket) -> bytes:
    found = bytearray()
    while piece := connection.recv(1 << 20):
        found += piece
    return bytes(found)


async def watch(live: Live, last: int, found: list[int]) -> None:
    """Add steps up to the last one as they come."""
    async with follow(live.http, "/v1/stream/series", run_id="run") as events:
        while last not in found[-1_000:]:
            for row in (await events.named("series"))["series"]:
                assert "left_out" not in row
                found += [step for step in row["columns"]["steps"] if step <= last]


async def have_seen(seen: list[list[int]], count: int) -> bool:
    return all(len(found) >= count for found in seen)


async def count_is(live: Live, count: int) -> bool:
    return len(live.server.connections.subscribers) == count


async def has_overrun(live: Live) -> bool:
    return bool(live.server.connections.subscribers.overruns)


async def test_a_stream_goes_on_over_kills_of_the_api_with_every_point_once(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    settings, author, batches = settings_for(kafka, topic, database, tmp_path), Author("run"), 120
    await fold(settings)
    given = {"kafka": kafka, "topic": topic, "postgres": database, "live_port": settings.live_port, "home": tmp_path}
    variables = {
        name: value for name, value in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    }
    variables |= {f"GATEWAY_{name.upper()}": str(value) for name, value in given.items()}
    found: list[tuple[int, float]] = []
    sending: asyncio.Task[None] | None = None
    position, last = "", batches * 20 - 1
    while not found or found[-1][0] != last:
        process = PythonProcess([sys.executable, "-m", "consumers.live"], env=variables)
        try:
            async with httpx.AsyncClient(base_url=settings.api, timeout=DEADLINE_S) as http:
                await until(lambda: answers(http), "the API answers")
                async with follow(http, "/v1/stream/series", at=position, run_id="run") as events:
                    sending = sending or asyncio.create_task(emit(settings.kafka, topic, author, batches))
                    wanted = min(len(found) + 400, last + 1) if len(found) < 800 else last + 1
                    while len(found) < wanted:
                        for row in (await events.named("series"))["series"]:
                            values = map(float_from_json, row["columns"]["values"])
                            found += zip(row["columns"]["steps"], values, strict=True)
                        position = events.position
        finally:
            process.kill()
            process.wait()
    assert sending is not None
    await sending
    async with serving(settings) as live:
        stored = (await live.json("/v1/runs/run/history", name="loss"))["points"]
    assert found == [(step, value) for step, _, value in stored]


async def emit(bootstrap: str, topic: str, author: Author, batches: int) -> None:
    await write(bootstrap, topic, [author.start()])
    for number in range(batches):
        values = [number + at / 32 for at in range(20)]
        await write(bootstrap, topic, [author.metrics("loss", values, first_step=20 * number)])


async def answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def test_the_server_stops_at_once_though_streams_of_topics_are_open(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:
        body = {"runs": {}, "series": {"runs": ["a"]}, "alerts": {}, "saved": {}}
        async with follow(live.http, "/v1/stream", body=body) as one, follow(live.http, "/v1/stream/alerts") as other:
            started = time.monotonic()
            live.server.should_exit = True
            for events in (one, other):
                with pytest.raises(EOFError):
                    await events.next()

    assert time.monotonic() - started < allowed(3)
