"""
The application of the ingest server: its routes, its health, and the producer that its lifetime keeps connected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from gateway.server import errors
from gateway.server.artifacts import routes as artifacts
from gateway.server.artifacts.storage import Storage, open_storage
from gateway.server.errors import Failure
from gateway.server.ingest import routes
from gateway.server.ingest.bodies import Budget
from gateway.server.limits import ExperimentLimits
from gateway.server.log_writer import LogWriter
from gateway.server.metrics import Metrics
from gateway.server.mlflow.reading import Reader
from gateway.server.needs import NEEDS
from schemas.runtime.access.guard import AccessGuard, access_of
from schemas.runtime.request_metrics import RequestCounter
from schemas.runtime.settings import Settings

STALE_S = 3_600.0  # between two looks for interrupted uploads that no client continued
IN_FLIGHT = 256 * 1024 * 1024  # bytes that all requests with events together may hold
UPLOADS = 256 * 1024 * 1024  # those of artifacts: an upload takes hours, and must leave no event waiting


def create_app(settings: Settings) -> FastAPI:
    """
    Return the application. It connects when it is started, and answers 503 until Kafka is reached.

    Raises BadSettings for an artifact store that cannot be used.
    """
    writer = LogWriter(settings)
    storage = open_storage(settings)
    budget = Budget(IN_FLIGHT)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await reader.open()
        tasks = [asyncio.create_task(writer.run()), asyncio.create_task(_remove_stale(storage))]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await reader.close()

    app = FastAPI(title="tracking-gateway ingest", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.writer = writer
    app.state.budget = budget
    app.state.metrics = metrics
    reader = Reader(settings, writer.written)
    app.add_middleware(AccessGuard, access=access_of(settings, settings.ingest_host, NEEDS))
    app.add_middleware(RequestCounter, answered=metrics.count_request)
    errors.install(app)
    routes.install(app, writer, budget, metrics, ExperimentLimits(reader))
    artifacts.install(app, storage, settings, Budget(UPLOADS, "uploads under way"))

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"ok": True})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        if writer.problem:
            raise Failure(503, f"Kafka: {writer.problem}", "start Kafka, or correct GATEWAY_KAFKA")
        return JSONResponse({"ok": True})

    return app


async def _remove_stale(storage: Storage | None) -> None:
    """Delete interrupted uploads that no client continued, from time to time."""
    while storage is not None:
        await asyncio.to_thread(storage.remove_stale)
        await asyncio.sleep(STALE_S)
