"""
Every route of every server: refused without a token, with one that is not in force or of too small a scope, and to
pages of other sites.

The routes are those of the real applications, so a new one cannot be forgotten: it needs a row in the table of its
server (consumers/live/api/access/needs.py, gateway/server/needs.py, gateway/server/mlflow/needs.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import BaseRoute, Mount

from consumers.live.api.access.needs import NEEDS as API_NEEDS
from consumers.live.api.routes import routes as api_routes
from consumers.live.app import create_app as create_api
from consumers.live.dashboard.pages import ADDRESSES
from gateway.server.app import create_app as create_ingest
from gateway.server.mlflow.app import ROUTES as DOOR_ROUTES
from gateway.server.mlflow.app import create_app as create_door
from gateway.server.mlflow.needs import needs_of
from gateway.server.needs import NEEDS as INGEST_NEEDS
from schemas.runtime.access.identity import SCOPES, Scope
from schemas.runtime.access.needs import Needs
from schemas.runtime.access.sessions import COOKIE
from schemas.runtime.access.tokens import create_token, new_text, revoke_token
from schemas.runtime.settings import Settings

HOST = "runs.example"
# Routes that everyone may ask, and why. A route that is not here needs a token.
OPEN = {
    "api": {*(f"GET {page}" for page in ADDRESSES), "GET /static/{path:path}", "GET /healthz", "POST /v1/login",
            "POST /v1/logout"},
    "ingest": {"GET /healthz", "GET /readyz"},
    "door": {"GET /health", "GET /version"},
}  # fmt: skip
_VARIABLE = re.compile(r"\{\w+(?::(\w+))?\}")


class Route(NamedTuple):
    """A route of a server."""

    method: str
    path: str

    @property
    def row(self) -> str:
        """Its row in the table."""
        return f"{self.method} {self.path}"

    @property
    def url(self) -> str:
        """A path that it serves."""
        return _VARIABLE.sub(lambda found: "1" if found[1] == "digits" else "x", self.path)


class Stack(NamedTuple):
    """A server with tokens, and what it serves."""

    name: str
    app: FastAPI
    needs: Needs
    routes: list[Route]
    tokens: Mapping[str, str]


def walk(routes: list[BaseRoute]) -> Iterator[Route]:
    for one in routes:
        if isinstance(one, Mount):
            yield Route("GET", f"{one.path}/{{path:path}}")
        elif (path := getattr(one, "path", None)) is not None:
            for method in sorted(getattr(one, "methods", None) or ()):
                if method != "HEAD" or "GET" not in one.methods:  # type: ignore[attr-defined]  # it has methods
                    yield Route(method, path)


@cache
def stack_of(name: str, home: Path) -> Stack:
    tokens: dict[str, str] = {}
    for scope in SCOPES:
        tokens[scope] = create_token(home / "tokens.json", scope, [scope])[1]
    past = datetime.now(UTC) - timedelta(days=1)
    tokens["expired"] = create_token(home / "tokens.json", "expired", list(SCOPES), expires=past)[1]
    tokens["revoked"] = create_token(home / "tokens.json", "revoked", list(SCOPES))[1]
    revoke_token(home / "tokens.json", "revoked")
    tokens["unknown"] = new_text()
    tokens["limited"] = create_token(home / "tokens.json", "limited", ["emit", "read", "write"], experiments=["e"])[1]
    settings = Settings(
        home=home, kafka="127.0.0.1:1", postgres=SecretStr("postgresql://u:p@127.0.0.1:1/x"), live_host="0.0.0.0",
        ingest_host="0.0.0.0", mlflow_door_host="0.0.0.0", allowed_hosts=[HOST], mlflow_ui="none",
    )  # fmt: skip
    create, needs = {
        "api": (create_api, API_NEEDS),
        "ingest": (create_ingest, INGEST_NEEDS),
        "door": (create_door, needs_of(DOOR_ROUTES)),
    }[name]
    app = create(settings)
    inner = api_routes().routes if name == "api" else []
    found = list(dict.fromkeys(walk([*inner, *app.routes])))
    return Stack(name, app, needs, found, tokens)


@pytest.fixture(params=["api", "ingest", "door"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return stack_of(request.param, tmp_path_factory.getbasetemp() / f"access-{request.param}")


async def refusals(stack: Stack, routes: list[Route], headers: Mapping[str, str]) -> dict[str, int]:
    """Return the status of each route for a request with these headers; each must have the form of the server."""
    found: dict[str, int] = {}
    transport = httpx.ASGITransport(app=stack.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}") as http:
        for route in routes:
            answer = await http.request(route.method, route.url, headers=headers)
            found[route.row] = answer.status_code
            if route.method != "HEAD":
                keys = {"error_code", "message"} if stack.name == "door" else {"error", "next"}
                assert answer.json().keys() == keys, route.row
    return found


def closed(stack: Stack) -> list[Route]:
    """Return the routes that need a token."""
    return [route for route in stack.routes if route.row not in OPEN[stack.name]]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_each_route_has_a_row_in_the_table(stack: Stack) -> None:
    assert [one.row for one in stack.routes if not stack.needs.names(one.method, one.path)] == []
    assert {one.row for one in stack.routes if stack.needs.of(one.method, one.url).is_open} <= OPEN[stack.name]


async def test_no_route_answers_without_a_token_or_with_one_that_is_not_in_force(stack: Stack) -> None:
    every = closed(stack)
    assert len(every) > 1
    wrong = ["expired", "revoked", "unknown"]
    shown = [{}, {"Cookie": f"{COOKIE}=v1.shared.99999999999.x.y"}, *(bearer(stack.tokens[one]) for one in wrong)]

    for headers in shown:
        assert set((await refusals(stack, every, headers)).values()) == {401}, headers


async def test_no_route_answers_to_too_small_a_scope(stack: Stack) -> None:
    for scope in ("emit", "read", "write"):
        small = [one for one in closed(stack) if _is_too_small(stack, one, scope)]

        assert set((await refusals(stack, small, bearer(stack.tokens[scope]))).values()) <= {403}


async def test_routes_about_everything_refuse_a_token_that_is_limited_to_experiments(stack: Stack) -> None:
    whole = [one for one in closed(stack) if not stack.needs.of(one.method, one.url).limited]

    assert set((await refusals(stack, whole, bearer(stack.tokens["limited"]))).values()) <= {403}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "https://evil.example"},
    ],
)
async def test_no_route_answers_to_pages_of_other_sites(stack: Stack, headers: dict[str, str]) -> None:
    assert set((await refusals(stack, stack.routes, headers)).values()) == {403}
    if "Host" not in headers:
        with_token = headers | bearer(stack.tokens["admin"])
        assert set((await refusals(stack, stack.routes, with_token)).values()) == {403}


def _is_too_small(stack: Stack, route: Route, scope: Scope) -> bool:
    wanted = stack.needs.of(route.method, route.url).scopes
    return bool(wanted) and scope not in wanted
