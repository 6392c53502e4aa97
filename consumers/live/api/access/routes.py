"""
Endpoints `POST /v1/login`, `POST /v1/logout` and `GET /v1/me`.

A login exchanges a token for a session cookie, which scripts of pages cannot read.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from consumers.live.api.errors import Failure
from consumers.live.api.responses import json_response
from consumers.live.api.run_documents import read_question
from schemas.api import LoginQuestion, Me
from schemas.runtime.access.credentials import MISSING, Credentials
from schemas.runtime.access.identity import SCOPES, Identity, identity_of
from schemas.runtime.access.limits import RateLimit
from schemas.runtime.access.sessions import cookie_of, set_cookie

LOGINS_PER_S, LOGINS = 0.2, 10.0  # of one address
WRONG = "create a token with `gateway tokens create NAME --scope read`, or ask who runs this server"


def add_routes(router: APIRouter) -> None:
    """Add the routes."""
    attempts = RateLimit(LOGINS_PER_S, LOGINS)

    async def login(request: Request) -> Response:
        """Begin a session of who holds a token: sets a cookie, and answers what `GET /v1/me` does."""
        access = _credentials(request)
        address = access.address_of(request.headers, _peer(request))
        if seconds := attempts.take(address):
            raise Failure(429, "too many logins from this address", f"wait {seconds} s", retry_after_s=seconds)
        question = await read_question(request, LoginQuestion)
        holder, why = access.tokens.find(question.token.strip())
        session = access.sessions.begin(holder) if holder is not None else None
        if holder is None or session is None:
            raise Failure(401, why or MISSING, WRONG)
        answer = json_response(_me(holder._replace(csrf=session.csrf)))
        answer.headers["Set-Cookie"] = set_cookie(session, secure=_is_secure(request))
        return answer

    body = {"content": {"application/json": {"schema": LoginQuestion.model_json_schema()}}}
    router.add_api_route("/v1/login", login, methods=["POST"], response_model=Me, openapi_extra={"requestBody": body})
    router.add_api_route("/v1/logout", logout, methods=["POST"], status_code=204, response_class=Response)
    router.add_api_route("/v1/me", me, response_model=Me)


async def logout(request: Request) -> Response:
    """End the session of the cookie; without one nothing happens."""
    access = _credentials(request)
    access.sessions.end(cookie_of(request.headers.get("cookie", "")))
    cookie = set_cookie(None, secure=_is_secure(request))
    return Response(status_code=204, headers={"Set-Cookie": cookie, "Cache-Control": "no-store"})


async def me(request: Request) -> Response:
    """Return who asks; 401 without an identity."""
    return json_response(_me(identity_of(request.scope)))


def _me(identity: Identity) -> Me:
    scopes = [one for one in SCOPES if one in identity.scopes or "admin" in identity.scopes]
    experiments = None if identity.experiments is None else sorted(identity.experiments)
    return Me(name=identity.name, scopes=scopes, experiments=experiments, csrf=identity.csrf)


def _credentials(request: Request) -> Credentials:
    found: Any = request.app.state.access.credentials
    assert isinstance(found, Credentials)
    return found


def _is_secure(request: Request) -> bool:
    """Tell whether the browser speaks https, to this server or to a proxy. A lie about it harms its own client only."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").lower())


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
