"""
Who calls the door, for what is limited to experiments: their reads carry their own token to the query API.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from fastapi import Request

from gateway.server.mlflow.errors import Refused
from schemas.runtime.access.credentials import shown_token
from schemas.runtime.access.identity import Identity, identity_of


class Caller(NamedTuple):
    """Someone with a token that is limited to experiments."""

    identity: Identity
    token: str


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)  # None: someone who sees everything


@contextmanager
def as_the_door() -> Iterator[None]:
    """Ask the query API in the block as the door itself, for what the door keeps for all callers."""
    before = CALLER.set(None)
    try:
        yield
    finally:
        CALLER.reset(before)


def enter(request: Request) -> None:
    """
    Let what this task does from now on be done for the sender of a request.

    Raises Refused for a session that is limited: without a token, a query API on loopback would answer everything.
    """
    identity = identity_of(request.scope)
    token = shown_token(request.headers.get("authorization", ""))
    if identity.experiments is not None and not token:
        raise Refused("PERMISSION_DENIED", "a login that is limited to experiments is none here: send its token")
    CALLER.set(Caller(identity, token) if identity.experiments is not None else None)
