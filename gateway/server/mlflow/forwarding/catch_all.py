"""
The route of every path that the door does not serve itself.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.forwarding import ui_server
from gateway.server.mlflow.forwarding.proxy import Proxy
from gateway.server.mlflow.forwarding.ui_server import NotRunning
from schemas.runtime.settings import Settings

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
API = ("/api/", "/ajax-api/", "/store/")
STORE = "/store/"  # of the store plug-in inside MLflow's server: forwarding it there would go round for ever
# It runs programs for people at its own machine (mlflow/server/assistant/api.py), and takes the door for one of them.
ASSISTANT = "/mlflow/assistant/"
NO_PAGES = (
    'This MLflow door has no pages: run `pip install "tracking-gateway[mlflow-server]"` where it runs, '
    "or name a server of MLflow with GATEWAY_MLFLOW_UI"
)


def open_proxy(settings: Settings) -> Proxy | None:
    """Return the way to MLflow's server; None where there is none."""
    is_off = settings.mlflow_ui == "none" or (settings.mlflow_ui == "auto" and not ui_server.is_installed())
    return None if is_off else Proxy(settings)


def install(app: FastAPI, proxy: Proxy | None) -> None:
    """Add the route; it must be the last."""

    async def unserved(request: Request) -> Response:
        path: str = request.scope["path"]
        if proxy is not None and not path.startswith(STORE) and ASSISTANT not in path:
            try:
                return await proxy.forward(request)
            except NotRunning as error:
                # 501: clients repeat a 502 or 503 for minutes, each time from the start.
                raise Refused(
                    "NOT_IMPLEMENTED", f"{path} is not served by the MLflow door itself, and {error}"
                ) from None
        _refuse_method(app, request)
        if path.startswith(STORE):
            raise Refused("NOT_IMPLEMENTED", f"Not implemented: {request.method} {path.removeprefix('/store')}")
        if path.startswith(API):
            raise HTTPException(404, "a MLflow door does not serve it")
        raise Refused("NOT_IMPLEMENTED", NO_PAGES)

    app.router.add_route("/{path:path}", unserved, methods=METHODS, include_in_schema=False)


def _refuse_method(app: FastAPI, request: Request) -> None:
    """Raise HTTPException 405 where the path is served for other methods."""
    others = [route for route in app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
    allowed = sorted({method for route in others for method in getattr(route, "methods", None) or ()})
    if allowed:
        raise HTTPException(405, f"the method must be {' or '.join(allowed)}", {"Allow": ", ".join(allowed)})
