"""
Who calls the door, for what is limited to experiments: their reads carry their own token to the query API.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from fastapi import Request

from schemas.runtime.access.credentials import shown_token
from schemas.runtime.access.identity import Identity, identity_of


class Caller(NamedTuple):
    """Someone with a token that is limited to experiments."""

    identity: Identity
    token: str


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)  # None: someone who sees everything


def enter(request: Request) -> None:
    """Let what this task does from now on be done for the sender of a request."""
    identity = identity_of(request.scope)
    limited = identity.experiments is not None
    CALLER.set(Caller(identity, shown_token(request.headers.get("authorization", ""))) if limited else None)
