"""
The session of a browser after a login: a signed cookie, so that a restart of the server ends no session.

    v1.<id of the token>.<end, Unix s>.<16 random bytes>.<HMAC-SHA-256>

The key of the signature is derived from the hash of the token, so a session ends with its token. A logout is kept in
the memory of the process until the session would have ended, for at most MAX_ENDED sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from typing import NamedTuple

from schemas.runtime.access.identity import Identity
from schemas.runtime.access.token_file import TokenFile

COOKIE = "gateway_session"
CSRF_HEADER = "x-gateway-csrf"
SESSION_S = 7 * 86_400
MAX_ENDED = 100_000
MAX_COOKIE = 300  # characters


class Session(NamedTuple):
    """A session that begins: the value of its cookie, when it ends, and its CSRF value."""

    cookie: str
    seconds: int
    csrf: str


class Sessions:
    """The sessions of a server."""

    def __init__(self, tokens: TokenFile) -> None:
        self._tokens = tokens
        self._ended: OrderedDict[str, int] = OrderedDict()  # by their random part: when they would have ended

    def begin(self, identity: Identity) -> Session | None:
        """Return a session of who holds a token; None if the token has ended meanwhile."""
        holder, digest = self._tokens.by_id(identity.token_id)
        if holder is None:
            return None
        now, expires = int(time.time()), self._tokens.expires(identity.token_id)
        end = min(now + SESSION_S, int(expires.timestamp()) if expires is not None else now + SESSION_S)
        text = f"v1.{identity.token_id}.{end}.{secrets.token_urlsafe(16)}"
        return Session(f"{text}.{_sign(digest, 'session', text)}", max(end - now, 0), _sign(digest, "csrf", text))

    def find(self, cookie: str) -> Identity | None:
        """Return who has this session, with the CSRF value that changes need; None for no session."""
        text, _, signature = cookie.rpartition(".")
        parts = text.split(".")
        if len(cookie) > MAX_COOKIE or not cookie.isascii() or len(parts) != 4 or parts[0] != "v1":
            return None
        if not parts[2].isdecimal():
            return None
        holder, digest = self._tokens.by_id(parts[1])
        if holder is None or not hmac.compare_digest(signature, _sign(digest, "session", text)):
            return None
        if int(parts[2]) <= time.time() or parts[3] in self._ended:
            return None
        return holder._replace(csrf=_sign(digest, "csrf", text))

    def end(self, cookie: str) -> None:
        """End a session that `find` knows."""
        if self.find(cookie) is None:
            return
        parts = cookie.split(".")
        self._ended[parts[3]] = int(parts[2])
        while self._ended and (len(self._ended) > MAX_ENDED or next(iter(self._ended.values())) < time.time()):
            self._ended.popitem(last=False)


def _sign(digest: str, purpose: str, text: str) -> str:
    key = hashlib.sha256(f"gateway {purpose} {digest}".encode()).digest()
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def cookie_of(header: str) -> str:
    """Return the session in a header `Cookie`; "" for none."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def without_session(header: str) -> str:
    """Return a header `Cookie` without the session, for a server that is not ours."""
    return "; ".join(one for part in header.split(";") if not (one := part.strip()).startswith(f"{COOKIE}="))


def set_cookie(session: Session | None, *, secure: bool) -> str:
    """Return the header `Set-Cookie` of a session that begins; None: of one that ends."""
    value, seconds = (session.cookie, session.seconds) if session is not None else ("", 0)
    return f"{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
