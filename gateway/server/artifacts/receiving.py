"""
Receive the bytes of an artifact into the store: counted, bounded, and checked before any reader can see them.

Bytes are handed to the store in pieces of 1 MiB, so an upload of any size holds 2 MiB of memory. The store makes them
visible only when their digest is right. What a sender that went away has sent is kept, without a name that a reader
finds, and the next upload of the same digest continues it.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request

from gateway.client.artifacts.store import StoreUnavailable, Upload, WrongBytes
from gateway.server.artifacts.incoming import Incoming, Stored
from gateway.server.artifacts.storage import Storage
from gateway.server.errors import Failure

PIECE_BYTES = 1_048_576
HELD_BYTES = 2 * PIECE_BYTES  # by one upload: a piece that is written, and the next
IDLE_S = 60.0  # longest pause of a sender
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class Announced(NamedTuple):
    """Which bytes of an artifact a request holds: those from `start` up to its end."""

    start: int
    total: int  # bytes of the artifact


def announced(request: Request, max_bytes: int) -> Announced:
    """Return what a PUT holds, by its headers. Raises Failure: 400, 411, 413 or 415."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Failure(415, "Content-Encoding is not supported", "send the bytes as they are")
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdecimal()):
        raise Failure(411, "the request has no Content-Length", "send the header with the number of bytes")
    length = int(text) if len(text) <= 18 else max_bytes + 1
    found = Announced(0, length)
    if (header := request.headers.get("content-range")) is not None:
        parsed = _CONTENT_RANGE.fullmatch(header)
        first, last, total = map(int, parsed.groups()) if parsed else (0, 0, -1)
        if last != total - 1 or last - first + 1 != length:
            raise Failure(
                400, f"Content-Range {header!r:.80} is not the rest of an artifact", "write bytes FIRST-LAST/TOTAL"
            )
        found = Announced(first, total)
    if found.total > max_bytes:
        raise too_large(max_bytes)
    return found


def too_large(max_bytes: int) -> Failure:
    """Return the failure of an upload with more bytes than this server takes."""
    step = "send a smaller one, or raise GATEWAY_ARTIFACT_MAX_GB of the server"
    return Failure(413, f"an artifact has at most {max_bytes:,} bytes here", step)


async def receive(request: Request, storage: Storage, digest: str, held: Announced) -> None:
    """
    Store the body of a request under its digest. Raises Failure: 400, 408, 409, 422, 503 or 507.

    409 asks for the bytes from the offset in `Upload-Offset` on.
    """
    if not await asyncio.to_thread(storage.has_room, held.total - held.start):
        raise full("the disk has no room for it")
    try:
        upload = await asyncio.to_thread(storage.store.writer, digest, held.total)
        kept = upload.offset  # bytes of an interrupted upload
        try:
            if held.start > kept:
                step = "send the bytes from Upload-Offset on"
                raise Failure(409, f"{kept:,} bytes of it are kept", step, headers={"Upload-Offset": str(kept)})
            await _copy(request, upload, kept - held.start, held.total - held.start)
            await asyncio.to_thread(upload.commit)
        except BaseException:  # also a cancelled request: what is kept is closed for the next attempt
            upload.abort()
            raise
    except WrongBytes as error:
        if kept:
            step = "send the whole artifact"
            what = "what was kept of an interrupted upload does not belong to it, and is deleted"
            raise Failure(409, what, step, headers={"Upload-Offset": "0"}) from error
        raise Failure(
            422, f"the bytes do not have the SHA-256 {digest}", "nothing is stored: send the right ones"
        ) from error
    except StoreUnavailable as error:
        raise _unwritable(error) from error


async def receive_unnamed(request: Request, storage: Storage, max_bytes: int) -> Stored:
    """
    Store the body of a request, whose digest and length may not be known, and return what it is.

    Nothing of a body that does not arrive whole is kept. Raises Failure: 400, 408, 413, 415, 503 or 507.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Failure(415, "Content-Encoding is not supported", "send the bytes as they are")
    length = request.headers.get("content-length", "")
    least = int(length[:18]) if length.isascii() and length.isdecimal() else 0
    if least > max_bytes:
        raise too_large(max_bytes)
    if not await asyncio.to_thread(storage.has_room, least):
        raise full("the disk has no room for it")
    try:
        incoming = await asyncio.to_thread(Incoming, storage)
        try:
            await _pass_on(request, incoming, max_bytes)
            return await asyncio.to_thread(incoming.commit)
        except BaseException:  # also a cancelled request: nothing of it is kept
            await asyncio.to_thread(incoming.abort)
            raise
    except StoreUnavailable as error:
        raise _unwritable(error) from error


async def _pass_on(request: Request, incoming: Incoming, max_bytes: int) -> None:
    received, piece, stream = 0, bytearray(), request.stream()
    while True:
        chunk = await _next(stream)
        received += len(chunk or b"")
        if received > max_bytes:
            raise too_large(max_bytes)
        piece += chunk or b""
        if piece and (chunk is None or len(piece) >= PIECE_BYTES):
            await asyncio.to_thread(incoming.write, bytes(piece))
            piece.clear()
        if chunk is None:
            return


async def _copy(request: Request, upload: Upload, skip: int, length: int) -> None:
    """Write the body of `length` bytes without the first `skip`, which the store has."""
    received, piece, stream = 0, bytearray(), request.stream()
    while received < length:
        if (chunk := await _next(stream)) is None:
            raise _cut_short()
        received += len(chunk)
        passed = min(skip, len(chunk))
        skip -= passed
        piece += chunk[passed:]
        if len(piece) >= PIECE_BYTES or received == length:
            await asyncio.to_thread(upload.write, bytes(piece))
            piece.clear()


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    """Return what arrives next; None at the end of the body. Raises Failure: 400 or 408."""
    try:
        async with asyncio.timeout(IDLE_S):
            return await anext(stream, None)
    except TimeoutError:
        raise Failure(408, f"no byte arrived for {IDLE_S:.0f} s", "send the same request again") from None
    except ClientDisconnect:
        raise _cut_short() from None


def _cut_short() -> Failure:
    return Failure(400, "the connection ended before the body did", "send the request again")


def _unwritable(error: StoreUnavailable) -> Failure:
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
        return full(str(error.__cause__.strerror))
    return Failure(503, f"the store cannot be written: {error}", "send the same request again in a moment")


def full(why: str) -> Failure:
    """Return the failure of an upload for which there is no room."""
    return Failure(507, f"the artifact store is full ({why})", "make room where GATEWAY_ARTIFACTS of the server points")
