"""
What a client asks about the server itself.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse

from gateway.server.mlflow.protobuf import VERSION
from gateway.server.mlflow.routing import PREFIXES

# As a stock server over SQLite answers (mlflow/server/handlers.py, build_server_info_payload), but for what the door
# does not have: uploads to addresses of the store's own, and MLflow's gateway to language models. MLflow's pages show
# all tabs to a server whose store is SQL only.
INFO = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "features_enabled": {"gateway": False},
}


def install(app: FastAPI) -> None:
    """Add the routes."""

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> PlainTextResponse:
        return PlainTextResponse("OK")

    @app.api_route("/version", methods=["GET", "HEAD"])
    async def version() -> PlainTextResponse:
        return PlainTextResponse(VERSION)

    async def info() -> JSONResponse:
        return JSONResponse(INFO)

    for prefix in PREFIXES:
        app.get(f"{prefix}/3.0/mlflow/server-info")(info)
