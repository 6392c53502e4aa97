"""
Security headers of the pages: no script from another host and no script or style in a page itself runs in them, and no
other page can frame them.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "object-src 'none'; frame-ancestors "
)
HEADERS = {
    "Content-Security-Policy": f"{_POLICY}'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """
    ASGI middleware that adds HEADERS to every answer.

    Pages of `embed_origins` may frame /embed. A stricter policy of the answer itself, as that of a download, stays.
    """

    def __init__(self, app: ASGIApp, embed_origins: Sequence[str] = ()) -> None:
        self._app = app
        self._embedded = f"{_POLICY}'self' {' '.join(embed_origins)}" if embed_origins else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        path = scope.get("path", "")
        is_embed = self._embedded and (path == "/embed" or path.startswith("/embed/"))

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if is_embed:
                    headers["Content-Security-Policy"] = self._embedded
            await send(message)

        await self._app(scope, receive, send_protected)
