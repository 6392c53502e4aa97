"""
JSON answers of the API.

A long answer is sent in pieces, so that neither its compression nor its rendering holds up other requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from consumers.live.stream.positions import write_positions

PIECE_BYTES = 65_536
M = TypeVar("M", bound=BaseModel)


def json_response(model: BaseModel, folded: Mapping[int, int] | None = None) -> Response:
    """Return a small model as JSON that no cache stores; the header X-Folded gives the offsets `folded`, if any."""
    return Response(model.model_dump_json(), media_type="application/json", headers=_headers(folded))


async def long_response(model: BaseModel, folded: Mapping[int, int]) -> Response:
    """Return a model of any size as `json_response` does."""
    text = (await asyncio.to_thread(model.model_dump_json)).encode()
    return _streamed((text[at : at + PIECE_BYTES] for at in range(0, len(text), PIECE_BYTES)), folded)


def list_response(model: BaseModel, field: str, items: Sequence[bytes], folded: Mapping[int, int]) -> Response:
    """Return a model whose list `field`, empty in it, has these items, each JSON already."""
    rest = model.model_dump_json(exclude={field}).encode()
    return _streamed(_joined(b'{"%b":[' % field.encode(), items, b"]," + rest[1:]), folded)


async def rendered(found: AsyncGenerator[M], cost: Callable[[M, bytes], int], bound: int) -> list[bytes]:
    """Return each model as JSON, up to the one with which their costs reach the bound."""
    items, spent = list[bytes](), 0
    async with aclosing(found):
        async for one in found:
            items.append(one.model_dump_json().encode())
            spent += cost(one, items[-1])
            if spent >= bound:
                break
            await asyncio.sleep(0)
    return items


def all_bytes(_: object, item: bytes) -> int:
    """Return the cost of a model for `rendered`: the bytes of its JSON."""
    return len(item)


def _joined(head: bytes, items: Sequence[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    for number, item in enumerate(items):
        yield b"," + item if number else item
    yield tail


def _streamed(pieces: Iterable[bytes], folded: Mapping[int, int]) -> Response:
    async def turns() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0)  # a client that reads fast must not keep others waiting

    return StreamingResponse(turns(), media_type="application/json", headers=_headers(folded))


def _headers(folded: Mapping[int, int] | None) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if folded:
        headers["X-Folded"] = write_positions(folded)  # the answer includes everything below
    return headers
