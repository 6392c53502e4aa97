"""
The table of routes: method and path of MLflow's API, the message that a request carries, and who handles it.

Every path of the API is served below three prefixes. `/api` is that of clients and `/ajax-api` that of MLflow's own
pages. `/store/api` is for the store plug-in in MLflow's server: what the door does not serve itself is refused there,
because the door forwards it to that very server.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, Request, Response
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from gateway.server.ingest import bodies
from gateway.server.ingest.bodies import Share
from gateway.server.mlflow.caller import enter
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.protobuf import Schema, message_class, read_message

PREFIXES = ("/api", "/ajax-api", "/store/api")


class Call(NamedTuple):
    """A request: its message, the JSON object or query that it was read from, and the variables in its path."""

    message: Any
    given: Mapping[str, Any]
    path: Mapping[str, str]


Handler = Callable[[Door, Call], Awaitable[Mapping[str, Any] | Response]]  # returns the object to answer, or the answer
RawHandler = Callable[[Door, Request], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One route: `Route("POST", "/mlflow/runs/create", "CreateRun", create_run, {"run_name": [string]})`."""

    method: str
    path: str  # below /api/<version>.0; variables are in braces, as in FastAPI
    message: str
    handler: Handler
    schema: Schema = field(default_factory=dict)
    version: int = 2
    repeated: frozenset[str] = frozenset()  # parameters that may repeat, besides those of the message


@dataclass(frozen=True)
class RawRoute:
    """A route whose handler reads the request and makes the answer itself: bytes go through it, no message."""

    method: str
    path: str  # below /api/<version>.0, or below nothing
    handler: RawHandler
    version: int | None = 2  # None: the path is below no prefix


def install(app: FastAPI, door: Door, routes: Sequence[Route | RawRoute]) -> None:
    """Add the routes below each prefix."""
    exact: dict[tuple[str, str], BaseRoute] = {}
    app.router.routes.insert(0, _ExactRoutes(exact))
    for route in routes:
        endpoint = _endpoint(door, route) if isinstance(route, Route) else _raw_endpoint(door, route)
        places = [""] if route.version is None else [f"{prefix}/{route.version}.0" for prefix in PREFIXES]
        for place in places:
            path = place + route.path
            app.router.add_route(path, endpoint, methods=[route.method])
            if "{" not in path:
                exact[route.method, path] = app.router.routes[-1]


class _ExactRoutes(BaseRoute):
    """
    Routes without variables, looked up by method and path.

    The router compares a path with one route after the other, which takes longer than a `log-metric` otherwise does.
    What is not found here is left to it, another method for a path included.
    """

    def __init__(self, routes: Mapping[tuple[str, str], BaseRoute]) -> None:
        self._routes = routes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = self._routes.get((scope.get("method", ""), scope["path"])) if scope["type"] == "http" else None
        return (Match.NONE, {}) if found is None else found.matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = found = self._routes[scope["method"], scope["path"]]
        await found.handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)


def _raw_endpoint(door: Door, route: RawRoute) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        enter(request)
        return await route.handler(door, request)

    return endpoint


def _endpoint(door: Door, route: Route) -> Callable[[Request], Awaitable[Response]]:
    message, repeated, booleans = message_class(route.message), *_kinds(message_class(route.message))

    async def endpoint(request: Request) -> Response:
        enter(request)
        with Share(door.budget) as share:
            if route.method == "GET" and request.query_params:
                given = _query(request, repeated | route.repeated, booleans)
            else:
                given = await read_json(request, share)
            found = read_message(given, message(), route.schema)
            answer = await route.handler(door, Call(found, given, request.path_params))
        return answer if isinstance(answer, Response) else Response(orjson.dumps(answer), media_type="application/json")

    return endpoint


def _kinds(message: Any) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the fields of a message that may repeat, and of those that are true or false."""
    fields = message.DESCRIPTOR.fields
    repeated = frozenset(one.name for one in fields if one.is_repeated)
    return repeated, frozenset(one.name for one in fields if one.type == one.TYPE_BOOL)


def _query(request: Request, repeated: frozenset[str], booleans: frozenset[str]) -> dict[str, Any]:
    """Return the parameters of a URL as the object that a body would hold."""
    found: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
        value: Any = values if name in repeated else values[0]
        if name in booleans:
            if value.lower() not in ("true", "false"):
                raise invalid(f"Invalid boolean value: {value:.100}, must be 'true' or 'false'.")
            value = value.lower() == "true"
        found[name] = value
    return found


async def read_json(request: Request, share: Share) -> Any:
    """
    Return the JSON of a body; {} for an empty body and for text that is no JSON, as in MLflow.

    A text is decoded once more, because older clients send their JSON as a JSON text. Raises Refused for another
    content type where one is needed, and for a text that holds no JSON; Failure for a body that is too large.
    """
    kind = request.headers.get("content-type", "").split(";")[0]
    if request.method in ("POST", "PUT") and kind != "application/json":
        await bodies.drain(request)
        raise invalid("Bad Request. Content-Type must be one of ['application/json'].")
    body = await bodies.read(request, share)
    found = _loads(body)
    if isinstance(found, str):
        found = _loads(found)
        if found is None:
            raise invalid("Invalid request body: it is a JSON text, not an object.")
    return {} if found is None else found


def _loads(text: str | bytes) -> Any:
    """
    Return the value of a JSON text; None for any other text.

    NaN and Infinity become texts, which protobuf reads as numbers: MLflow's server reads a bare NaN as 0.0.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):  # RecursionError: nested too deeply
        return None
