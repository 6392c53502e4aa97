"""
From the headers of a request to who sent it: a token, a session, or the user that a trusted proxy names.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from schemas.runtime.access.identity import LOCAL, Identity, Scope
from schemas.runtime.access.limits import RateLimit
from schemas.runtime.access.sessions import Sessions, cookie_of
from schemas.runtime.access.token_file import TokenFile, is_own_form

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

MISSING = "the token is missing or wrong"
# Wrong tokens that people may have chosen themselves, by address. 5 a second guess no word of a thousand in 3 minutes.
FAILURES_PER_S, FAILURES = 5.0, 300.0
PROXY_CSRF = "same-origin"  # any page of another origin has to ask before it may send the header at all
MAX_USER = 200  # characters


class TrustedProxy(NamedTuple):
    """A reverse proxy that signs people in."""

    header: str  # lower case; it names the user
    scopes: frozenset[Scope]
    networks: Sequence[IPv4Network | IPv6Network]

    def is_it(self, peer: str) -> bool:
        """Tell whether a request comes from the proxy."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)


class Found(NamedTuple):
    """Who sent a request; without an identity, why not, and after how many seconds to try again, if that helps."""

    identity: Identity | None
    why: str = ""
    retry_after_s: int = 0


class Credentials:
    """Finds who sends the requests to one server."""

    def __init__(self, tokens: TokenFile, proxy: TrustedProxy | None, *, is_open: bool) -> None:
        """`is_open`: the server needs no token, because only this machine reaches it."""
        self.tokens, self.sessions = tokens, Sessions(tokens)
        self._proxy, self._is_open = proxy, is_open
        self._failures = RateLimit(FAILURES_PER_S, FAILURES)

    def address_of(self, headers: Mapping[str, str], peer: str) -> str:
        """Return the address of a client: the last one that a trusted proxy adds, otherwise the peer's."""
        if self._proxy is not None and self._proxy.is_it(peer):
            return headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:100] or peer
        return peer

    def find(self, headers: Mapping[str, str], peer: str) -> Found:
        """Return who sent a request with these headers. A wrong token is refused, whatever else there is."""
        if authorization := headers.get("authorization", ""):
            return self._holder(shown_token(authorization), self.address_of(headers, peer))
        if cookie := cookie_of(headers.get("cookie", "")):
            holder = self.sessions.find(cookie)
            if holder is not None:
                return Found(holder)
        if self._proxy is not None and self._proxy.is_it(peer):
            user = headers.get(self._proxy.header, "").strip()
            if user and "," not in user and len(user) <= MAX_USER and user.isprintable():
                return Found(Identity(user, self._proxy.scopes, csrf=PROXY_CSRF))
        if self._is_open:
            return Found(LOCAL)
        return Found(None, MISSING)

    def are_still(self, who: Identity, headers: Mapping[str, str]) -> bool:
        """Tell whether the token or session of who sent a request with these headers is still in force."""
        if not who.token_id:
            return True
        if who.csrf:
            return self.sessions.find(cookie_of(headers.get("cookie", ""))) == who
        return self.tokens.by_id(who.token_id)[0] == who

    def _holder(self, text: str, address: str) -> Found:
        if self._is_open and not is_own_form(text):
            return Found(LOCAL)  # as before tokens had scopes: a client sends GATEWAY_TOKEN to all servers
        if not is_own_form(text) and (seconds := self._failures.wait(address)):
            return Found(None, "this address has sent too many wrong tokens", seconds)
        holder, why = self.tokens.find(text)
        if holder is None:
            self._failures.take(address)
        return Found(holder, why)


def shown_token(authorization: str) -> str:
    """
    Return the token in a header `Authorization`: as Bearer, or as the password of Basic; "" for none.

    Browsers ask a person for the latter, curl takes it with `--user :TOKEN`.
    """
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return shown.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(shown.strip(), validate=True).decode("latin-1").partition(":")[2].strip()
    except (ValueError, binascii.Error):
        return ""
