"""
The dashboard: two pages and the files that they load, all served from here.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parents[1] / "static"
# The browser checks each time whether a file has changed: after an upgrade it never runs an old script.
_HEADERS = {"Cache-Control": "no-cache"}


async def list_page() -> FileResponse:
    """Return the page that lists runs."""
    return FileResponse(STATIC / "index.html", headers=_HEADERS)


async def run_page(run_id: str) -> FileResponse:
    """Return the page of a run; its script reads the run id from the address."""
    return FileResponse(STATIC / "run.html", headers=_HEADERS)


def install(app: FastAPI) -> None:
    """Add the pages to `app`; call it after the routes of the API."""
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_api_route("/", list_page, include_in_schema=False)
    app.add_api_route("/runs/{run_id:run}", run_page, include_in_schema=False)
