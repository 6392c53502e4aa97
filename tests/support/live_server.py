"""The real API and dashboard in the event loop of the test, with a real log and a real store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from consumers.live.server import Server, listen
from consumers.log.reader import LogReader
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from gateway.local.ports import free_ports
from schemas import events as ev
from schemas.runtime.settings import Settings
from schemas.values import FloatValue, JsonValue, StringValue
from schemas.wire import Envelope, RegistryEnvelope
from tests.support.log_author import Author, write

DEADLINE_S = 150.0


@dataclass
class Live:
    """A running server with its settings and an HTTP client."""

    server: Server
    settings: Settings
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        """Base address of the API."""
        return self.settings.api

    async def publish(self, envelopes: Iterable[Envelope | RegistryEnvelope]) -> None:
        """Write envelopes to the log and fold them into the store."""
        await write(self.settings.kafka, self.settings.topic, envelopes)
        await fold(self.settings)

    async def publish_unfolded(self, envelopes: Iterable[Envelope | RegistryEnvelope]) -> None:
        """Write envelopes to the log only, as if the materialiser were behind."""
        await write(self.settings.kafka, self.settings.topic, envelopes)

    async def get(self, path: str, /, **parameters: Any) -> httpx.Response:
        """Send a GET request to the API."""
        return await self.http.get(path, params=parameters or None)

    async def json(self, path: str, /, **parameters: Any) -> Any:
        """Return the JSON of a GET request that must succeed."""
        answer = await self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


def settings_for(kafka: str, topic: str, database: str, home: Path) -> Settings:
    """Return settings of a server on a free port."""
    (port,) = free_ports(1)
    return Settings(home=home, kafka=kafka, topic=topic, postgres=SecretStr(database), live_port=port, trackers=[])


@asynccontextmanager
async def serving(settings: Settings, *, ready: bool = True) -> AsyncIterator[Live]:
    """Yield a running server, ready unless `ready` is False; stop it when the block ends."""
    if ready:
        await fold(settings)
    with listen(settings) as listening:
        server = Server(settings)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        async with httpx.AsyncClient(base_url=settings.api, timeout=DEADLINE_S, trust_env=False) as http:
            live = Live(server, settings, http)
            try:
                await until(lambda: _answers(live, 200 if ready else None), "the server answers")
                yield live
            finally:
                server.should_exit = True
                await task


def training(
    run_id: str, *, group: str = "", values: tuple[float, ...] = (0.5, float("nan"), float("-inf"))
) -> list[Envelope]:
    """Return all envelopes of a run that finished."""
    author = Author(run_id)
    start = author.start(name=f"name of {run_id}", group=group, tag="digits")
    params = author.envelope(
        ev.Params(
            time=author.now(),
            params={
                "lr": FloatValue(value=0.1),
                "net": JsonValue(value={"layers": [64, 32]}),
                "o": StringValue(value="adam"),
            },
        )
    )
    return [start, params, author.metrics("loss", values), author.finish()]


async def fold(settings: Settings) -> None:
    """Fold everything that the log holds now into the store, with the worker of the materialiser."""
    dsn = settings.postgres.get_secret_value()
    db = await open_database(dsn)
    reader = LogReader(settings.kafka, settings.topic)
    try:
        await migrate(db)
        await reader.open()
        worker = Worker(db, settings.topic)
        end = await reader.end_offsets()
        position = await worker.assign(list(end))
        await reader.assign(position)
        while any(position[partition] < end[partition] for partition in end):
            records = await reader.fetch(timeout_ms=1_000, max_records=500)
            await worker.apply(records)
            position.update({record.partition: record.offset + 1 for record in records})
    finally:
        await reader.close()
        await db.close()


@asynccontextmanager
async def folding(settings: Settings) -> AsyncIterator[None]:
    """Fold the log as it grows, as the materialiser does, until the block ends; only it may fold meanwhile."""
    database = await open_database(settings.postgres.get_secret_value())
    reader = LogReader(settings.kafka, settings.topic)
    await reader.open()
    worker = Worker(database, settings.topic)
    await reader.assign(await worker.assign(list(await reader.end_offsets())))

    async def fold_on() -> None:
        while True:
            await worker.apply(await reader.fetch(timeout_ms=200, max_records=500))

    task = asyncio.create_task(fold_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await reader.close()
        await database.close()


async def _answers(live: Live, status: int | None) -> bool:
    try:
        answer = await live.get("/healthz")
    except httpx.TransportError:
        return False
    return status is None or answer.status_code == status


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return when the condition holds; at the deadline fail and name it."""
    deadline = time.monotonic() + DEADLINE_S
    while not await condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.02)


class Frames:
    """The server-sent events of one stream, as a browser reads them."""

    def __init__(self, answer: httpx.Response) -> None:
        self.last_id = ""
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """Return the next event. Raises EOFError at the end of the stream."""
        async with asyncio.timeout(DEADLINE_S):
            data = ""
            async for line in self._lines:
                field, _, value = line.partition(":")
                if field == "id":
                    self.last_id = value.strip()
                elif field == "data":
                    data += value.strip()
                elif not line and data:
                    found: dict[str, Any] = json.loads(data)
                    return found
            raise EOFError

    async def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next `count` events."""
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def stream(live: Live, *, last_event_id: str | None = None, **parameters: Any) -> AsyncIterator[Frames]:
    """Follow the event stream; when the block begins, the stream has sent its first position."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    async with live.http.stream("GET", "/v1/stream", params=parameters, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield Frames(answer)
