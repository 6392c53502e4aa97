"""
`POST /v1/events`: records into the log, answered when Kafka has acknowledged all of them.

Nothing of a request is taken unless all of it is well. docs/ingest.md is its description for people.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gateway.client.encoding.wire import Record
from gateway.server import errors
from gateway.server.errors import Failure
from gateway.server.ingest import bodies
from gateway.server.ingest.bodies import Budget, Share
from gateway.server.log_writer import LogWriter, RecordRefused
from gateway.server.metrics import Metrics
from schemas.errors import LogUnavailable
from schemas.runtime.request_metrics import Counting
from schemas.runtime.settings import Settings

IN_FLIGHT = 256 * 1024 * 1024  # bytes that all requests together may hold


def create_app(settings: Settings) -> FastAPI:
    """Return the application. It connects when it is started, and answers 503 until Kafka is reached."""
    writer = LogWriter(settings)
    budget = Budget(IN_FLIGHT)
    token = settings.token.get_secret_value()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        keeping = asyncio.create_task(writer.run())
        yield
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    app = FastAPI(title="tracking-gateway ingest", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.writer = writer
    app.state.budget = budget
    app.state.metrics = metrics = Metrics()
    app.add_middleware(Counting, answered=metrics.answered)
    errors.install(app)

    @app.post("/v1/events")
    async def events(request: Request) -> JSONResponse:
        if not is_allowed(request, token):
            await bodies.drain(request)
            raise Failure(401, "the token is missing or wrong", "set GATEWAY_TOKEN to the server's")
        with Share(budget) as share:
            try:
                body = await bodies.read(request, share)
            except Failure as failure:
                if failure.status in (413, 503):
                    await bodies.drain(request)
                raise
            encoding = request.headers.get("content-encoding", "identity").strip().lower()
            records = await bodies.records_of(body, encoding, share)
            if records:
                await _write(writer, records)
                metrics.took(len(records), len(body))
        return JSONResponse({"taken": len(records)})

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"ok": True})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        if writer.problem:
            raise Failure(503, f"Kafka: {writer.problem}", "start Kafka, or correct GATEWAY_KAFKA")
        return JSONResponse({"ok": True})

    return app


def is_allowed(request: Request, token: str) -> bool:
    """Tell whether a request carries the token; any does where none is set."""
    if not token:
        return True
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    # Compared whatever the scheme, and in constant time: how long it takes must not say how much was right.
    return hmac.compare_digest(shown.strip().encode(), token.encode()) and scheme.lower() == "bearer"


async def _write(writer: LogWriter, records: list[Record]) -> None:
    try:
        await writer.write(records)
    except LogUnavailable as error:
        raise Failure(503, str(error), "send the same request again in a moment") from error
    except RecordRefused as error:
        raise Failure(413, f"Kafka: {error}", "leave it out, and send the others again", record=error.number) from error
