"""
The application of the MLflow door, and the process that serves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from gateway.server.artifacts.storage import open_storage
from gateway.server.ingest.bodies import Budget
from gateway.server.log_writer import LogWriter
from gateway.server.metrics import Metrics
from gateway.server.mlflow import empty_pages, errors, routing, server_info
from gateway.server.mlflow.artifacts import routes as artifacts
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.experiments import routes as experiments
from gateway.server.mlflow.experiments.default import keep_default
from gateway.server.mlflow.forwarding import catch_all
from gateway.server.mlflow.logged_models import links
from gateway.server.mlflow.logged_models import routes as logged_models
from gateway.server.mlflow.logged_models import search as logged_model_search
from gateway.server.mlflow.needs import needs_of
from gateway.server.mlflow.reading import Reader
from gateway.server.mlflow.registry import routes as registry
from gateway.server.mlflow.runs import history
from gateway.server.mlflow.runs import routes as runs
from gateway.server.mlflow.runs.writer import RunWriter
from gateway.server.mlflow.search import runs as run_search
from gateway.server.serve import Place, serve_app
from schemas.runtime.access.guard import AccessGuard, access_of
from schemas.runtime.request_metrics import RequestCounter
from schemas.runtime.settings import Settings

CHALLENGE = 'Basic realm="tracking-gateway", charset="UTF-8"'  # MLflow's pages have no login: the browser asks
IN_FLIGHT = 256 * 1024 * 1024  # bytes that all requests together may hold
ROUTES: list[routing.Route | routing.RawRoute] = [
    *artifacts.ROUTES,
    *empty_pages.ROUTES,
    *experiments.ROUTES,
    *runs.ROUTES,
    *history.ROUTES,
    *run_search.ROUTES,
    *logged_models.ROUTES,
    *logged_model_search.ROUTES,
    *registry.ROUTES,
    *links.ROUTES,
]


async def serve(settings: Settings) -> None:
    """Serve the door until a signal. Raises BadSettings and StackError."""
    place = Place(settings.mlflow_door_host, settings.mlflow_door_port, "GATEWAY_MLFLOW_DOOR", settings.mlflow_door)
    await serve_app(settings, create_app, place)


def create_app(settings: Settings) -> FastAPI:
    """Return the application. Raises BadSettings for settings that cannot be used."""
    writer, budget, metrics = LogWriter(settings), Budget(IN_FLIGHT), Metrics("mlflow-door")
    reader = Reader(settings, writer.written)
    proxy = catch_all.open_proxy(settings)
    run_writer = RunWriter(writer, reader)
    door = Door(
        settings=settings, writer=writer, reader=reader, runs=run_writer, storage=open_storage(settings), budget=budget
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await reader.open()
        tasks = [asyncio.create_task(one) for one in (writer.run(), keep_default(door), run_writer.known.run())]
        yield
        await run_writer.close()
        for task in reversed(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await reader.close()
        if proxy is not None:
            await proxy.close()

    app = FastAPI(title="tracking-gateway MLflow door", lifespan=lifespan, openapi_url=None, docs_url=None)
    app.state.writer, app.state.budget, app.state.metrics = writer, budget, metrics
    rules = access_of(
        settings, settings.mlflow_door_host, needs_of(ROUTES), body=errors.access_body, challenge=CHALLENGE
    )
    app.add_middleware(AccessGuard, access=rules)
    app.add_middleware(RequestCounter, answered=metrics.count_request)
    errors.install(app)
    server_info.install(app)
    empty_pages.install(app)
    routing.install(app, door, ROUTES)
    catch_all.install(app, proxy)
    return app
