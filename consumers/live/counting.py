"""
Count what the API answers: by method, route and status, never by what a URL holds.
"""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.operations.metrics import LiveMetrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNTIMED = frozenset({"/v1/stream"})  # lasts as long as somebody watches


class Counting:
    """ASGI middleware that counts each request once its answer has begun."""

    def __init__(self, app: ASGIApp, metrics: LiveMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                method = scope["method"] if scope["method"] in METHODS else "other"
                seconds = None if route in UNTIMED else time.monotonic() - started
                self._metrics.answered(method, route, message["status"], seconds)
            await send(message)

        await self._app(scope, receive, send_counted)
