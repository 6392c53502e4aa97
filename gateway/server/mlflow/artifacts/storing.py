"""
Bytes of artifacts in, and artifacts removed.

Bytes are in the store, under their digest, before the log has the artifact, so a reader never finds one without bytes.
An upload that ends early leaves nothing. The same upload again stores nothing and records the artifact once more.
"""

from __future__ import annotations

from fastapi import Request, Response

from gateway.server.artifacts.receiving import HELD_BYTES, receive_unnamed
from gateway.server.artifacts.storage import Storage
from gateway.server.ingest import bodies
from gateway.server.ingest.bodies import Share
from gateway.server.mlflow.artifacts.owners import add, check, remove
from gateway.server.mlflow.artifacts.places import Place, inner_path, parse_place, to_write
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, invalid

MAX_POSTED = 10 * 1024 * 1024  # bytes of `upload-artifact`, as in MLflow
NO_STORE = (
    "This server stores no artifacts: set GATEWAY_ARTIFACTS of the MLflow door to a folder (file:///...) or a bucket. "
    "`gateway up` sets one."
)


def storage_of(door: Door) -> Storage:
    """Return the store of the door. Raises Refused NOT_IMPLEMENTED, which no client repeats, if it has none."""
    if door.storage is None:
        raise Refused("NOT_IMPLEMENTED", NO_STORE)
    return door.storage


async def upload(door: Door, request: Request) -> Response:
    """Answer `PUT /mlflow-artifacts/artifacts/<path>`: bytes of any length up to GATEWAY_ARTIFACT_MAX_GB."""
    try:
        place = to_write(request.path_params["path"])
        await _store(door, request, place, int(door.settings.artifact_max_gb * 1e9))
    except Refused:
        await bodies.drain(request)
        raise
    return Response()


async def upload_posted(door: Door, request: Request) -> Response:
    """Answer `POST /ajax-api/2.0/mlflow/upload-artifact?run_uuid=&path=`, by which MLflow's pages store a file."""
    try:
        run_id, path = request.query_params.get("run_uuid"), request.query_params.get("path")
        if not run_id:
            raise invalid("Request must specify run_uuid.")
        if not path or not inner_path(path):
            raise invalid("Request must specify path.")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:18]) > MAX_POSTED:
            raise invalid("Artifact size is too large. Max size is 10MB.")
        if length == "0":
            raise invalid("Request must specify data.")
        await _store(door, request, Place("run", run_id, inner_path(path)), MAX_POSTED)
    except Refused:
        await bodies.drain(request)
        raise
    return Response(media_type="application/json")


async def delete(door: Door, request: Request) -> Response:
    """Answer `DELETE /mlflow-artifacts/artifacts/<path>`: an artifact, or all below a folder; nothing is no error."""
    place = parse_place(request.path_params["path"])
    if place is not None:
        await remove(door, place)
    return Response("{}", media_type="application/json")


async def _store(door: Door, request: Request, place: Place, max_bytes: int) -> None:
    storage = storage_of(door)
    await check(door, place)  # before bytes are sent for nothing
    with Share(door.uploads) as share:
        share.reserve(HELD_BYTES)
        stored = await receive_unnamed(request, storage, max_bytes)
    await add(door, place, storage.store.uri(stored.sha256), stored)
