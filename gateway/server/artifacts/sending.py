"""
Send the bytes of an artifact: all of them or one range (RFC 9110), in pieces of 1 MiB, or only that they are unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import closing

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from gateway.client.artifacts.store import Store
from gateway.server.artifacts.ranges import Part, Unsatisfiable, read_range
from gateway.server.errors import Failure

READ_BYTES = 1_048_576


def send(request: Request, store: Store, digest: str, size: int, headers: Mapping[str, str]) -> Response:
    """
    Return the answer to a GET or HEAD of bytes that the store has, with these headers. Raises Failure 416.

    Their ETag is their digest: 304 for a client that has them.
    """
    headers = {**headers, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
    if digest in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        part = read_range(_range_of(request, digest), size)
    except Unsatisfiable:
        what = f"the artifact has {size:,} bytes, none of them in the range"
        raise Failure(416, what, "correct Range", headers={"Content-Range": f"bytes */{size}"}) from None
    found = part or Part(0, size)
    headers["Content-Length"] = str(found.end - found.start)
    if part:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    status = 206 if part else 200
    if request.method == "HEAD" or found.start == found.end:
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_read(store, digest, found), status, headers)


def _range_of(request: Request, digest: str) -> str:
    """Return the header Range where it counts: with If-Range only for the same bytes, which have one digest."""
    condition = request.headers.get("if-range")
    return request.headers.get("range", "") if condition in (None, f'"{digest}"') else ""


async def _read(store: Store, digest: str, part: Part) -> AsyncIterator[bytes]:
    """Yield a part of an artifact. Should the store fail meanwhile, the answer ends before its announced length."""
    left = part.end - part.start
    source = await asyncio.to_thread(store.open, digest, part.start)
    with closing(source):
        while left and (chunk := await asyncio.to_thread(source.read, min(READ_BYTES, left))):
            left -= len(chunk)
            yield chunk
