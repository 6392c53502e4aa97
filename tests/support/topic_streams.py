"""Streams of topics as a browser reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.live_server import DEADLINE_S

Event = tuple[str, Any]


class Events:
    """The events of one stream, with their names."""

    def __init__(self, answer: httpx.Response) -> None:
        self.position = ""
        self._lines = answer.aiter_lines()

    async def first(self) -> str:
        """Return the position with which the stream begins."""
        while not self.position:
            await self._read()
        return self.position

    async def next(self) -> Event:
        """Return the next event that is not a sign of life. Raises EOFError at the end."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                name, data = await self._read()
                if data:
                    return name, json.loads(data)

    async def named(self, name: str) -> Any:
        """Return the data of the next event, which must have this name."""
        found, data = await self.next()
        assert found == name, (found, data)
        return data

    async def _read(self) -> tuple[str, str]:
        name = data = ""
        async for line in self._lines:
            field, _, value = line.partition(":")
            if not line:
                return name, data
            if field == "id":
                self.position = value.strip()
            elif field == "event":
                name = value.strip()
            elif field == "data":
                data = value.strip()
        raise EOFError


@asynccontextmanager
async def follow(http: httpx.AsyncClient, path: str, *, at: str = "", **parameters: Any) -> AsyncIterator[Events]:
    """Follow a topic by GET, or with `body` several by POST; it has its first position then."""
    body = parameters.pop("body", None)
    headers = {"Last-Event-ID": at} if at else {}
    method = "GET" if body is None else "POST"
    async with http.stream(method, path, params=parameters, json=body, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        events = Events(answer)
        await events.first()
        yield events


def steps_of(data: Any, series: str = "loss") -> list[int]:
    return [step for row in data["series"] if row["series"] == series for step in row["columns"]["steps"]]


async def take_steps(events: Events, last: int) -> list[int]:
    """Return the steps that arrive up to one."""
    found: list[int] = []
    while last not in found:
        found += steps_of(await events.named("series"))
    return found
