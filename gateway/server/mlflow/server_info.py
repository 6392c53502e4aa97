"""
What a client asks about the server itself.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from gateway.server.mlflow.protobuf import VERSION


def install(app: FastAPI) -> None:
    """Add the routes, which need no token, as in MLflow."""

    @app.get("/health")
    async def health() -> PlainTextResponse:
        return PlainTextResponse("OK")

    @app.get("/version")
    async def version() -> PlainTextResponse:
        return PlainTextResponse(VERSION)
