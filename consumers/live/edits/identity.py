"""
The identity of a request that writes: its producer, its time and its author.

A request is a producer of its own, so that a repeated one is in the log as the same events, which count once. Its id is
that of the header `Idempotency-Key`, a UUID, or a new one.
"""

from __future__ import annotations

import time
from typing import NamedTuple
from uuid import UUID, uuid4

from fastapi import Request

from consumers.live.api.errors import bad_parameter
from schemas.bounds import MAX_NAME
from schemas.runtime.access.identity import author_of

HEADER = "Idempotency-Key"


class RequestIdentity(NamedTuple):
    """Who asks, and as which producer."""

    producer: str
    time: int  # µs since 1970-01-01 UTC
    author: str  # "" if it is not known
    is_given: bool  # the client chose the id, so it may ask again


def identity_of(request: Request) -> RequestIdentity:
    """Return the identity of a request. Raises Failure for a key that is no UUID."""
    now = time.time_ns() // 1_000
    given = request.headers.get(HEADER)
    author = author_of(request.scope)[:MAX_NAME]
    if given is None:
        return RequestIdentity(str(uuid4()), now, author, is_given=False)
    try:
        key = UUID(given.strip())
    except ValueError:
        raise bad_parameter(HEADER, "it is no UUID", "send a new UUID with each change, the same one again") from None
    return RequestIdentity(str(key), min(_time_of(key) or now, now), author, is_given=True)


def _time_of(key: UUID) -> int | None:
    """Return the µs in a UUID of version 7 (RFC 9562), so that a repeated request has the same bytes; else None."""
    return (key.int >> 80) * 1_000 if key.version == 7 else None
