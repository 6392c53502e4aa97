"""
Who may use our web servers: the API with its pages, and the ingest server.

A server that other machines can reach needs a token. A server on loopback needs none, so every page that a browser on
that machine shows could use it. `AccessGuard` therefore refuses what a web page of another origin sends:

- `Host` must be a name of this server. A page whose own name resolves to 127.0.0.1 (DNS rebinding) has another one.
- `Origin`, which browsers add to what a page sends, must be this server's.
- `Sec-Fetch-Site` must not name another site, except where a person follows a link to a page.

Programs send neither of the last two. This module imports no web framework: it is loaded with the settings.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import json
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from schemas.errors import BadSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

Headers = dict[str, str]
_OWN_SITES = ("same-origin", "none")  # "none": typed by a person, or a bookmark
_HOSTS = "add its name to GATEWAY_ALLOWED_HOSTS if it is that of a proxy in front of this server"


@lru_cache(maxsize=256)  # asked for each request, nearly always with the same name
def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def require_token(name: str, host: str, token: str) -> None:
    """Raise BadSettings for a server that other machines can reach and that has no token; `name` is its setting."""
    if not token and not is_loopback(host):
        raise BadSettings(
            f"{name} {host} can be reached from other machines, and no token is set: "
            "set GATEWAY_TOKEN, or listen on 127.0.0.1"
        )


def holds_token(authorization: str, token: str) -> bool:
    """
    Tell whether a header `Authorization` carries the token: as Bearer, or as the password of Basic.

    Browsers ask a person for the latter.
    """
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown.strip(), validate=True).decode("latin-1").partition(":")[2]
        except (ValueError, binascii.Error):
            shown = ""
    # Compared whatever the scheme, and in constant time: the duration must not reveal how much of it was right.
    is_same = hmac.compare_digest(shown.strip().encode(), token.encode())
    return is_same and scheme.lower() in ("bearer", "basic")


def foreign(headers: Headers, method: str, hosts: Iterable[str]) -> tuple[str, str] | None:
    """Return what is foreign about a request to a server without a token, and the next step; None for nothing."""
    known = {host.lower() for host in hosts}
    host = headers.get("host", "").lower()
    name = _hostname(f"//{host}")
    if host and not (is_loopback(name) or name in known):
        return f"Host {host!r:.100} is not a name of this server", f"use 127.0.0.1 or localhost; {_HOSTS}"
    if problem := _foreign_origin(headers, known):
        return problem
    site = headers.get("sec-fetch-site", "none")
    is_link = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    is_page = is_link and headers.get("sec-fetch-dest") == "document"
    if site not in _OWN_SITES and not is_page:
        return f"a page of another origin sent it (Sec-Fetch-Site: {site:.20})", "open this server's own pages"
    return None


def crosses_sites(headers: Headers, method: str, hosts: Iterable[str] = ()) -> tuple[str, str] | None:
    """
    Return what is wrong about a change to a server with a token, and the next step; None for nothing.

    A browser that a person gave the token as a password sends it with whatever any page lets it send. It names the site
    of that page to https and to its own machine only (https://www.w3.org/TR/fetch-metadata/); elsewhere Origin tells.
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return None
    site = headers.get("sec-fetch-site")
    if site is None:
        return _foreign_origin(headers, {host.lower() for host in hosts})
    if site in _OWN_SITES:
        return None
    return f"a page of another origin sent it (Sec-Fetch-Site: {site:.20})", "open this server's own pages"


def _foreign_origin(headers: Headers, known: Collection[str]) -> tuple[str, str] | None:
    origin = headers.get("origin", "").lower()
    if not origin or origin.partition("://")[2] == headers.get("host", "").lower() or _hostname(origin) in known:
        return None
    return f"Origin {origin!r:.100} is not this server's", f"use its own pages; {_HOSTS}"


def _hostname(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:  # an odd IPv6 address
        return ""


def _error_body(status: int, error: str, step: str) -> dict[str, str]:
    return {"error": error, "next": step}


class AccessGuard:
    """
    ASGI middleware that answers 401 without the token, and 403 to what pages of other sites send: to changes, or to
    everything if there is no token.

    `hosts` are further names of this server, for instance those of a proxy in front of it. GET and HEAD of
    `open_paths` are not checked. `body` makes the JSON object of an answer from its status, error and next step.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        hosts: Iterable[str] = (),
        open_paths: Collection[str] = (),
        body: Callable[[int, str, str], dict[str, str]] = _error_body,
    ) -> None:
        self._app, self._token, self._hosts = app, token, frozenset(hosts)
        self._open_paths, self._body = frozenset(open_paths), body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        if scope["type"] == "http" and not self._is_open(scope):
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            if self._token and not holds_token(headers.get("authorization", ""), self._token):
                step = "set GATEWAY_TOKEN to the server's; in a browser, enter it as the password"
                await _refuse(send, 401, self._body(401, "the token is missing or wrong", step))
                return
            if self._token:
                problem = crosses_sites(headers, scope["method"], self._hosts)
            else:
                problem = foreign(headers, scope["method"], self._hosts)
            if problem:
                await _refuse(send, 403, self._body(403, *problem))
                return
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in self._open_paths and scope["method"] in ("GET", "HEAD")


async def _refuse(send: Send, status: int, answer: dict[str, str]) -> None:
    body = json.dumps(answer).encode()
    headers = [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"), (b"connection", b"close"),  # a body may still be on its way
    ]  # fmt: skip
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="tracking-gateway", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
