"""
An answer of any size that is sent while it is read, from one snapshot.

It holds a few blocks of rows, whatever the export has. Because it keeps a connection to PostgreSQL and a snapshot as
long as it takes, few run at once, a client that stops reading is dropped, and each has an end. An export that fails
after it has begun breaks off without the end of the HTTP message, so that no client takes a part for the whole.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from itertools import chain
from typing import Any, NamedTuple, Protocol

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from consumers.live.api.errors import Failure
from consumers.live.api.responses import PIECE_BYTES
from consumers.live.stream.positions import write_positions
from consumers.store.export.blocks import Block, Cells, Column, Same

ROWS_AT_ONCE = 100_000  # encoded together: a row group of a Parquet file
AT_ONCE = 2  # exports; the API has four connections to PostgreSQL
UNREAD_S = 30.0  # a client that takes nothing for so long is dropped
LONGEST_S = 3_600.0


class Form(Protocol):
    """Turns blocks into bytes."""

    def begin(self) -> bytes:
        """Return the first bytes."""
        ...

    def block(self, block: Block) -> bytes:
        """Return the bytes of a block."""
        ...

    def end(self) -> bytes:
        """Return the last bytes."""
        ...


class Export(NamedTuple):
    """What is exported: columns and rows within a snapshot, and the offsets of the log that this is as of."""

    columns: Sequence[Column]
    blocks: AsyncGenerator[Block]
    folded: dict[int, int]


class ExportResponse(StreamingResponse):
    """
    The answer of an export.

    `opened` gives the export to the block of a `with`, and may raise Failure before anything is sent. Its columns are
    encoded by what `form` returns for them.
    """

    running = 0

    def __init__(
        self,
        opened: AbstractAsyncContextManager[Export],
        form: Callable[[Sequence[Column]], Form],
        *,
        media_type: str,
        filename: str,
    ) -> None:
        self._opened, self._form = opened, form
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{filename}"'}
        super().__init__((), media_type=media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        if ExportResponse.running >= AT_ONCE:
            raise Failure(503, f"{AT_ONCE} exports run already", "ask again when one has ended", retry_after_s=10)
        ExportResponse.running += 1
        try:
            async with asyncio.timeout(LONGEST_S), self._opened as export, aclosing(export.blocks):
                self.headers["X-Folded"] = write_positions(export.folded)
                self.body_iterator = _pieces(export, self._form(export.columns))
                await super().__call__(scope, receive, _in_time(send))
        finally:
            ExportResponse.running -= 1


async def _pieces(export: Export, form: Form) -> AsyncIterator[bytes]:
    yield form.begin()
    held: list[Block] = []
    rows = 0
    async for block in export.blocks:
        held.append(block)
        rows += block.rows
        if rows >= ROWS_AT_ONCE:
            for piece in _cut(await asyncio.to_thread(_encoded, form, held)):
                yield piece
            held, rows = [], 0
    for piece in _cut(await asyncio.to_thread(_encoded, form, held)):
        yield piece
    yield await asyncio.to_thread(form.end)


def _encoded(form: Form, blocks: Sequence[Block]) -> bytes:
    return form.block(joined(blocks)) if blocks else b""


def joined(blocks: Sequence[Block]) -> Block:
    """Return blocks of the same columns as one."""
    if len(blocks) == 1:
        return blocks[0]
    columns = [_joined([block.cells[at] for block in blocks]) for at in range(len(blocks[0].cells))]
    return Block(sum(block.rows for block in blocks), columns)


def _joined(parts: Sequence[Cells]) -> Cells:
    first = parts[0]
    if isinstance(first, Same) and all(isinstance(one, Same) and one.value == first.value for one in parts):
        return Same(first.value, sum(map(len, parts)))
    if isinstance(first, array) and all(isinstance(one, array) for one in parts):
        column: array[Any] = array(first.typecode)
        for one in parts:
            column.extend(one)
        return column
    return list(chain.from_iterable(parts))


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))


def _in_time(send: Send) -> Send:
    async def bounded(message: Message) -> None:
        async with asyncio.timeout(UNREAD_S):
            await send(message)

    return bounded
