"""
The web application: API, event stream and dashboard pages on one port.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from consumers.live.api import errors, routes
from consumers.live.api.access.needs import NEEDS
from consumers.live.api.connections import Connections
from consumers.live.api.security_headers import SecurityHeaders
from consumers.live.dashboard import pages
from consumers.telemetry.metrics import LiveMetrics, MetricsRegistry
from schemas.runtime.access.guard import AccessGuard, access_of
from schemas.runtime.request_metrics import RequestCounter
from schemas.runtime.settings import Settings

MAX_BODY = 4 * 1024 * 1024  # bytes; questions name at most 10,000 runs, which are 0.4 MB
GZIP_FROM_BYTES = 1_000
GZIP_LEVEL = 5  # the default 9 takes three times the CPU time to save a few per cent more


class Compressed(GZipMiddleware):
    """Compresses answers in the event loop, except exports, which may be of any size."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_export = str(scope.get("path", "")).startswith("/v1/export/")
        await (self.app if is_export else super().__call__)(scope, receive, send)


def create_app(settings: Settings) -> FastAPI:
    """Return the application. It connects when it starts, and answers 503 while it cannot reach a service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await app.state.connections.start()
        yield
        await app.state.connections.stop()

    app = FastAPI(
        title="tracking-gateway",
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
    )
    app.state.connections = Connections(settings)
    app.state.metrics = MetricsRegistry("live")
    errors.install(app, pages.unknown_page)
    app.include_router(routes.routes())
    pages.install(app)
    app.add_middleware(Compressed, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    embeds = settings.embed_origins
    access = access_of(settings, settings.live_host, NEEDS, is_api=True, max_body=MAX_BODY, embeds=bool(embeds))
    app.state.access = access
    app.add_middleware(AccessGuard, access=access)
    app.add_middleware(SecurityHeaders, embed_origins=embeds)
    app.state.counts = LiveMetrics(app.state.metrics)
    app.add_middleware(RequestCounter, answered=app.state.counts.answered)
    return app
