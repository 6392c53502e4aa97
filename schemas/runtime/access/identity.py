"""
Who asks: a name, scopes, and the experiments that a token is limited to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Scope = Literal["emit", "read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("emit", "read", "write", "admin")
KEY = "gateway.identity"  # in the ASGI scope of a request
LOCAL_NAME = ""  # of a caller on loopback, where no token is needed: it is not known


class Identity(NamedTuple):
    """Who asks. `admin` includes all other scopes."""

    name: str
    scopes: frozenset[Scope]
    experiments: frozenset[str] | None = None  # names; None: all
    token_id: str = ""  # of the token behind it; "" without one
    csrf: str = ""  # what X-Gateway-CSRF must say for changes; "": nothing is needed, no page can forge its requests

    def may(self, scopes: frozenset[Scope]) -> bool:
        """Tell whether one of these scopes is among its own."""
        return "admin" in self.scopes or not self.scopes.isdisjoint(scopes)


LOCAL = Identity(LOCAL_NAME, frozenset(SCOPES))


def identity_of(scope: Mapping[str, Any]) -> Identity:
    """Return who sent the request with this ASGI scope (`request.scope`). Raises KeyError without an AccessGuard."""
    found = scope[KEY]
    assert isinstance(found, Identity)
    return found


def author_of(scope: Mapping[str, Any]) -> str:
    """Return the name to record as the author of an event; "" for someone at this machine, without a token."""
    return identity_of(scope).name
