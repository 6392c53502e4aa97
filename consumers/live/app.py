"""
The web application: API, event stream and dashboard page on one port.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from consumers.live.api import errors, routes
from consumers.live.api.connections import Services
from consumers.live.api.security_headers import Protection
from consumers.live.dashboard import pages
from consumers.telemetry.metrics import LiveMetrics, MetricsRegistry
from schemas.runtime.request_metrics import Counting
from schemas.runtime.settings import Settings

GZIP_FROM_BYTES = 1_000
GZIP_LEVEL = 5  # the default 9 costs three times the processor time for a few per cent


def create_app(settings: Settings) -> FastAPI:
    """Return the application. It connects when it is started, and answers 503 for what it cannot reach yet."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await app.state.services.start()
        yield
        await app.state.services.stop()

    app = FastAPI(
        title="tracking-gateway",
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.services = Services(settings)
    app.state.metrics = MetricsRegistry("live")
    errors.install(app)
    app.include_router(routes.routes())
    pages.install(app)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(Protection)
    app.state.counts = LiveMetrics(app.state.metrics)
    app.add_middleware(Counting, answered=app.state.counts.answered)
    return app
