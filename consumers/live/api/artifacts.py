"""
Endpoints about the artifacts of a run: the list, and the bytes of one.

Bytes are looked up by their SHA-256 in the store that GATEWAY_ARTIFACTS of this process names. The URI of an artifact
is what a producer wrote: it is never opened here, so a reference to `file:///etc/passwd` gives nothing away.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import long_response
from consumers.live.api.runs import MAX_NAMES, refuse_impossible, unknown_run
from consumers.store.offsets import CONSUMER
from consumers.store.read.artifacts import ArtifactChoice
from schemas.api import ArtifactEntry, ArtifactsPage
from schemas.bounds import MAX_NAME

MAX_ARTIFACTS = 10_000  # in one answer
READ_IT = "read it with `gateway artifacts download`, where GATEWAY_ARTIFACTS names its store"


async def artifacts(
    request: Request,
    run_id: str,
    path: Annotated[str, Query(max_length=MAX_NAME)] = "",
    recursive: bool = False,
    limit: Annotated[int, Query(ge=1, le=MAX_ARTIFACTS)] = MAX_NAMES,
    page_token: Annotated[str | None, Query(max_length=MAX_NAME + 1)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    List the artifacts of a run: files and folders directly in the folder `path`, with sizes, by path.

    With `recursive` every file at or below `path`, which may be the path of a file. A path that does not exist has no
    artifacts. For the next page repeat the request with `page_token` set to `next_page_token` of this page.
    """
    refuse_impossible(run_id)
    check_choice(path, page_token)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        page = await now.artifacts(run_id, ArtifactChoice(path, recursive, page_token, limit))
    if page is None:
        raise unknown_run(run_id)
    found = ArtifactsPage(run_id=run_id, path=path, artifacts=page.entries, next_page_token=page.next_page_token)
    return await long_response(found, folded)


def check_choice(path: str, page_token: str | None) -> None:
    """Raise Failure for a path or a page token that no list of artifacts has."""
    for name, text in (("path", path), ("page_token", page_token or "")):
        if "\x00" in text:
            raise bad_parameter(name, "it must not contain U+0000", f"correct {name}")
    if page_token is not None and page_token[:1] not in ("f", "d"):
        raise bad_parameter("page_token", "it is none of this list", "leave it out to start again")


async def artifact_content(
    request: Request,
    run_id: str,
    path: Annotated[str, Query(min_length=1, max_length=MAX_NAME)],
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return the bytes of an artifact whose bytes are stored, or the part that `Range` names; ETag is the SHA-256.

    A store that is a folder is read here. For one behind an HTTP door the answer is a redirect to the door (307), for
    any other 409: clients read those themselves.
    """
    refuse_impossible(run_id)
    if "\x00" in path:
        raise bad_parameter("path", "it must not contain U+0000", "correct path")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        found = await now.artifact(run_id, path)
    if found is None:
        raise Failure(404, f"run {run_id!r:.300} has no artifact {path!r:.300}", "list them with .../artifacts")
    if not found.stored:
        raise Failure(409, f"artifact {path!r:.300} is a reference, its bytes are not stored", "its uri says where")
    store = connections.artifacts
    scheme = store.partition("://")[0]
    if scheme in ("http", "https"):
        return RedirectResponse(f"{store.rstrip('/')}/v1/artifacts/sha256/{found.sha256}", 307)
    if scheme != "file":
        named = f"the store {scheme}://" if store else "GATEWAY_ARTIFACTS of this server has no value, so its store"
        raise Failure(409, f"{named} is not read here", READ_IT)
    return await asyncio.to_thread(_file, store, found)


def _file(store: str, found: ArtifactEntry) -> Response:
    """Return the bytes from a store that is a folder. Raises Failure when it does not have them."""
    digest = found.sha256
    path = Path(unquote(urlsplit(store).path), "sha256", digest[:2], digest)
    try:
        state = os.lstat(path)
    except OSError as error:
        what = f"the store does not have the bytes of {found.path!r:.300} ({error.strerror})"
        raise Failure(404, what, "they may still be on their way, or in another store: its uri says where") from None
    if not stat.S_ISREG(state.st_mode):
        raise Failure(404, f"what the store has for {found.path!r:.300} is no file", "see its folder on the server")
    headers = {"ETag": f'"{digest}"', "Cache-Control": "private, no-cache", "Content-Security-Policy": "sandbox"}
    name = found.path.rpartition("/")[2].encode(errors="replace").decode() or digest
    options: dict[str, Any] = {"filename": name, "stat_result": state, "media_type": "application/octet-stream"}
    return FileResponse(path, headers=headers, **options)
