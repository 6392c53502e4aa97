"""
The dashboard: one page for every address of the application, and the files that it loads.

Vite builds them from `dashboard/` into `static/` next to this file (hatch_build.py). The names of the files in
`assets/` contain a hash of their content, so a browser may keep them for good; it asks for everything else again each
time, and never runs an old script after an upgrade.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
ADDRESSES = (
    "/",
    "/workspace",
    "/compare",
    "/alerts",
    "/system",
    "/login",
    "/runs/{rest:run}",
    "/experiments/{rest:run}",
    "/embed/{rest:run}",
)
_NO_PAGES = ("/v1/", "/static/")
_CHECK_AGAIN = {"Cache-Control": "no-cache"}
_KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>tracking-gateway</title>
<h1>The dashboard was not built</h1>
<p>This server was installed with SKIP_UI=1: it answers the API only, such as <a href="/v1/runs">/v1/runs</a>.</p>
<p>To get the pages, install it again without SKIP_UI, or in a checkout run
<code>npm ci --ignore-scripts</code> and <code>npx vite build</code> in <code>dashboard/</code>.</p>
</html>
"""


class _Files(StaticFiles):
    """The built files, each with how long a browser may keep it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if answer.status_code in (200, 206, 304):
            answer.headers.update(_KEEP if path.startswith("assets/") else _CHECK_AGAIN)
        return answer


def page_of(static: Path) -> Callable[[], Awaitable[Response]]:
    """Return what answers the addresses of the application; which page is meant is for its script to see."""

    async def page() -> Response:
        return _index(static, 200)

    return page


def unknown_page(request: Request) -> Response | None:
    """Return the application, which says that there is no such page, for a browser that asks for one; else None."""
    is_page = request.method == "GET" and not request.url.path.startswith(_NO_PAGES)
    return _index(STATIC, 404) if is_page and "text/html" in request.headers.get("accept", "") else None


def _index(static: Path, status: int) -> Response:
    index = static / "index.html"
    if not index.is_file():
        return HTMLResponse(_NOT_BUILT, 404, headers=_CHECK_AGAIN)
    return FileResponse(index, status, headers=_CHECK_AGAIN)


def install(app: FastAPI) -> None:
    """Add the pages to `app`; call it after the routes of the API."""
    static = STATIC
    if static.is_dir():
        app.mount("/static", _Files(directory=static))
    page = page_of(static)
    for address in ADDRESSES:
        app.add_api_route(address, page, include_in_schema=False)
