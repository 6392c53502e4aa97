"""
ASGI middleware of every server: who sends a request, and whether they may.

401 without a token that is in force; 403 for one of too small a scope, for what pages of other sites send, and for
changes with a cookie and without its CSRF value; 413 and 429 at the limits. The decision is made from the table of the
server before its router sees the request. Each refusal is one line in the log, at most LINES_PER_S of them.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.errors import BadSettings
from schemas.runtime.access.cors import Header, answer_headers, preflight_headers
from schemas.runtime.access.credentials import Credentials, TrustedProxy
from schemas.runtime.access.identity import KEY, LOCAL, SCOPES, Identity
from schemas.runtime.access.limits import RateLimit
from schemas.runtime.access.needs import Need, Needs
from schemas.runtime.access.origins import crosses_sites, foreign, foreign_host, is_loopback
from schemas.runtime.access.sessions import CSRF_HEADER
from schemas.runtime.access.token_file import TokenFile

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from schemas.runtime.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
DRAINED, DRAIN_S = 8 * 1024 * 1024, 30.0  # of the body of a refused request: its sender reads the answer only then
LINES_PER_S, LINES = 20.0, 200.0
BURST_S = 2.0  # of requests at the allowed rate may come at once
NOBODY = Identity("", frozenset())
STEP_401 = "set GATEWAY_TOKEN to one of the server's (`gateway tokens create`)"  # pages go to /login by themselves

log = logging.getLogger("schemas.runtime.access")


def error_body(status: int, error: str, step: str) -> dict[str, str]:
    """Return the JSON object of a refusal."""
    return {"error": error, "next": step}


@dataclass(frozen=True, kw_only=True)
class Access:
    """The rules of one server."""

    credentials: Credentials
    needs: Needs
    hosts: frozenset[str]  # further names of the server, in lower case
    is_open: bool  # it needs no token: only this machine reaches it
    origins: frozenset[str] = frozenset()  # of pages that may ask with a token
    embeds: bool = False  # pages of other origins may frame /embed
    requests: RateLimit | None = None
    max_body: int | None = None
    body: Callable[[int, str, str], dict[str, str]] = error_body
    challenge: str = "Bearer"
    lines: RateLimit = field(default_factory=lambda: RateLimit(LINES_PER_S, LINES))

    def watch(self, scope: Scope) -> Callable[[], bool]:
        """Return what tells, during a long answer, whether its reader still has a token or a session in force."""
        headers, who = _headers_of(scope), scope[KEY]
        return lambda: self.credentials.are_still(who, headers)


def access_of(settings: Settings, host: str, needs: Needs, *, is_api: bool = False, **more: Any) -> Access:
    """
    Return the rules of a server that listens on `host`. Raises BadSettings for settings that cannot be used.

    The query API (`is_api`) needs no token on loopback, the others need GATEWAY_TOKEN there if it is set.
    """
    shared = settings.token.get_secret_value()
    tokens = TokenFile(settings.tokens_path, shared)
    proxy = proxy_of(settings)
    is_open = is_loopback(host) and settings.access == "auto" and proxy is None and (is_api or not shared)
    rate = settings.requests_per_s
    return Access(
        credentials=Credentials(tokens, proxy, is_open=is_open),
        needs=needs,
        hosts=frozenset(name.lower() for name in (settings.api_hosts if is_api else settings.allowed_hosts)),
        is_open=is_open,
        origins=frozenset(settings.cors_origins),
        requests=RateLimit(rate, max(1.0, rate * BURST_S)) if rate else None,
        **more,
    )


def proxy_of(settings: Settings) -> TrustedProxy | None:
    """Return the proxy that the settings trust. Raises BadSettings."""
    if not settings.trust_header:
        return None
    if not settings.trusted_proxies:
        raise BadSettings("trust_header needs the addresses that may send it: set GATEWAY_TRUSTED_PROXIES")
    try:
        networks = [ipaddress.ip_network(one, strict=False) for one in settings.trusted_proxies]
    except ValueError as error:
        raise BadSettings(f"trusted_proxies: {error}: write addresses or networks, such as 10.0.0.0/8") from error
    unknown = sorted(set(settings.trust_scopes) - set(SCOPES))
    if unknown:
        raise BadSettings(f"trust_scopes {','.join(unknown)!r:.100}: write some of {','.join(SCOPES)}")
    scopes = frozenset(one for one in SCOPES if one in settings.trust_scopes)
    return TrustedProxy(settings.trust_header.lower(), scopes, networks)


def require_token(name: str, host: str, settings: Settings) -> None:
    """Raise BadSettings for a server that others can reach and that no caller could use; `name` is its setting."""
    if is_loopback(host) and settings.access == "auto":
        return
    if proxy_of(settings) is None and not TokenFile(settings.tokens_path, settings.token.get_secret_value()).has_any:
        where = "needs a token (GATEWAY_ACCESS=always)" if is_loopback(host) else "can be reached from other machines"
        raise BadSettings(
            f"{name} {host} {where}, and there is none: create one with `gateway tokens create`, set GATEWAY_TOKEN, or "
            "listen on 127.0.0.1"
        )


class _Refusal(NamedTuple):
    status: int
    error: str
    step: str
    retry_after_s: int = 0


class AccessGuard:
    """The middleware. It puts the identity of the sender into `scope["gateway.identity"]`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._dropped = 0  # lines that are not in the log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        access = self._access
        headers = _headers_of(scope)
        origin = headers.get("origin", "")
        cors = answer_headers(origin, access.origins) if origin else []
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers and origin in access.origins:
            await _answer(send, 204, preflight_headers(origin, access.origins), b"")
            return
        found = self._decide(scope, headers)
        if isinstance(found, _Refusal):
            await self._refuse(scope, receive, send, found, cors)
            return
        scope[KEY] = found
        if access.max_body is not None and _announced(headers) > access.max_body:
            await self._refuse(scope, receive, send, _too_large(access.max_body), cors)
            return
        if access.max_body is not None and "content-length" not in headers:
            receive = _bounded(receive, access.max_body)
        await self._app(scope, receive, _with_headers(send, cors) if cors else send)

    def _decide(self, scope: Scope, headers: dict[str, str]) -> Identity | _Refusal:
        """Return who may send this request, or why it is refused."""
        access, method, path = self._access, scope["method"], scope["path"]
        need = access.needs.of(method, path)
        if problem := self._foreign(headers, method, path):
            return _Refusal(403, *problem)
        peer = _peer(scope)
        who, why, wait_s = access.credentials.find(headers, peer)
        if wait_s:
            return _Refusal(429, why, f"try again in {wait_s} s", wait_s)
        if who is None and not need.is_open:
            return _Refusal(401, why, STEP_401)
        who = who or NOBODY
        if access.requests is not None and who is not LOCAL:
            key = who.token_id or who.name or access.credentials.address_of(headers, peer)
            if seconds := access.requests.take(key):
                return _Refusal(429, "too many requests (GATEWAY_REQUESTS_PER_S)", f"try again in {seconds} s", seconds)
        return self._lacks(who, need) or self._forged(who, need, method, headers) or who

    def _foreign(self, headers: dict[str, str], method: str, path: str) -> tuple[str, str] | None:
        """Return what is foreign about a request, and the next step."""
        access = self._access
        if headers.get("origin") in access.origins and access.origins:
            headers = {name: value for name, value in headers.items() if name not in ("origin", "sec-fetch-site")}
        elif access.embeds and method in SAFE and (path == "/embed" or path.startswith("/embed/")):
            headers = {name: value for name, value in headers.items() if name != "sec-fetch-site"}
        if access.is_open:
            return foreign(headers, method, access.hosts)
        if "authorization" not in headers and (problem := foreign_host(headers, access.hosts)):
            return problem
        return crosses_sites(headers, method, access.hosts)

    @staticmethod
    def _lacks(who: Identity, need: Need) -> _Refusal | None:
        if need.scopes and not who.may(need.scopes):
            wanted = " or ".join(one for one in SCOPES if one in need.scopes)
            return _Refusal(403, f"{who.name!r:.100} has no scope {wanted}", "use a token that has it")
        if who.experiments is not None and not need.limited:
            step = "use a token of all experiments"
            return _Refusal(403, f"{who.name!r:.100} is limited to experiments, and this is about all", step)
        return None

    @staticmethod
    def _forged(who: Identity, need: Need, method: str, headers: dict[str, str]) -> _Refusal | None:
        if not who.csrf or method in SAFE or need.is_open:
            return None
        if hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), who.csrf.encode()):
            return None
        return _Refusal(403, "the header X-Gateway-CSRF is missing or wrong", "send `csrf` of GET /v1/me in it")

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, refusal: _Refusal, cors: Collection[Header]
    ) -> None:
        self._report(scope, refusal)
        is_drained = await _drain(receive)
        body = json.dumps(self._access.body(refusal.status, refusal.error, refusal.step)).encode()
        headers = [
            (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"), *cors,
        ]  # fmt: skip
        if not is_drained:
            headers.append((b"connection", b"close"))
        if refusal.status == 401:
            headers.append((b"www-authenticate", self._access.challenge.encode()))
        if refusal.retry_after_s:
            headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
        await _answer(send, refusal.status, headers, body)

    def _report(self, scope: Scope, refusal: _Refusal) -> None:
        if self._access.lines.take(""):
            self._dropped += 1
            return
        more = f"; {self._dropped:,} refusals before it are not in the log" if self._dropped else ""
        self._dropped = 0
        what = f"{scope['method']} {scope['path']}"
        log.warning("refused %d: %.300s from %s (%s)%s", refusal.status, what, _peer(scope), refusal.error, more)


def _headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by name; of a header that is there twice both values, with a comma."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}{';' if key == 'cookie' else ','} {text}" if key in found else text
    return found


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _announced(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _too_large(limit: int) -> _Refusal:
    return _Refusal(413, f"the body has more than {limit:,} bytes", "ask in several requests")


def _bounded(receive: Receive, limit: int) -> Receive:
    """Return `receive` for a body of unknown length, which ends with an error of the web framework at the limit."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            from starlette.exceptions import HTTPException

            raise HTTPException(413, f"the body has more than {limit:,} bytes")
        return message

    return bounded


def _with_headers(send: Send, headers: Collection[Header]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return sending


async def _drain(receive: Receive) -> bool:
    """Read and discard the body of a refused request; return whether that was all of it."""
    size = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            while size <= DRAINED:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return True
                size += len(message.get("body", b""))
    except TimeoutError:
        pass
    return False


async def _answer(send: Send, status: int, headers: Collection[Header], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
