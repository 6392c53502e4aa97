"""
The routes of the door: `PUT`, `GET` and `HEAD /v1/artifacts/sha256/<hex>`.

The address of bytes is their SHA-256, so they never change: a PUT of what is there is answered at once, and a client
may keep what it has got for ever. Every answer says that it is a download: what training uploads, a page of its own
for instance, must not run in the origin of this server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from gateway.client.artifacts.store import DIGEST, ArtifactError
from gateway.server.artifacts.receiving import HELD_BYTES, announced, receive
from gateway.server.artifacts.sending import send
from gateway.server.artifacts.storage import Storage
from gateway.server.errors import Failure
from gateway.server.ingest.bodies import Budget, Share
from schemas.runtime.settings import Settings

PATH = "/v1/artifacts/sha256/{digest}"
T = TypeVar("T")
_DOWNLOAD = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=31536000, immutable",
}


def install(app: FastAPI, storage: Storage | None, settings: Settings, budget: Budget) -> None:
    """Add the routes. Without a store they answer 501."""
    max_bytes = int(settings.artifact_max_gb * 1e9)

    @app.put(PATH)
    async def put(request: Request, digest: str) -> JSONResponse:
        found = _admit(digest, storage)
        held = announced(request, max_bytes)
        is_new = await _asked(found.store.size, digest) != held.total
        if is_new:
            with Share(budget) as share:
                share.reserve(HELD_BYTES)
                await receive(request, found, digest, held)
        facts = {"sha256": digest, "size": held.total, "stored": is_new}
        return JSONResponse(facts, 201 if is_new else 200)

    @app.api_route(PATH, methods=["GET", "HEAD"])
    async def get(request: Request, digest: str) -> Response:
        store = _admit(digest, storage).store
        size = await _asked(store.size, digest)
        if size is None:
            kept = await _asked(store.partial, digest)
            offset = {"Upload-Offset": str(kept)} if kept else None
            raise Failure(404, f"the store has no artifact {digest}", "upload it with PUT", headers=offset)
        return send(request, store, digest, size, _DOWNLOAD)


def _admit(digest: str, storage: Storage | None) -> Storage:
    """Return the store for a request about a digest. Raises Failure."""
    if not DIGEST.fullmatch(digest):
        raise Failure(400, f"{digest!r:.80} is no SHA-256", "write 64 hex digits, in lower case")
    if storage is None:
        step = "set GATEWAY_ARTIFACTS of the server to a folder (file:///...) or a bucket"
        raise Failure(501, "this server has no artifact store of its own", step)
    return storage


async def _asked(question: Callable[[str], T], digest: str) -> T:
    """Return what the store says about a digest. Raises Failure 503."""
    try:
        return await asyncio.to_thread(question, digest)
    except ArtifactError as error:
        raise Failure(503, str(error), "send the same request again in a moment") from error
