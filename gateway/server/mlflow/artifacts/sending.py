"""
Bytes of artifacts out: to clients through the proxy, and to MLflow's own pages.

Training may store a page with scripts. Every answer is a download that no browser shows or sniffs, in a sandbox
without any source, so that nothing of it runs in the origin of this server. The pages of MLflow fetch the bytes and
show them themselves.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from fastapi import Request, Response

from gateway.client.artifacts.store import ArtifactError
from gateway.server.artifacts.sending import send
from gateway.server.errors import Failure
from gateway.server.mlflow.artifacts.owners import check, find
from gateway.server.mlflow.artifacts.places import Place, inner_path, parse_place, place_of_uri
from gateway.server.mlflow.artifacts.storing import storage_of
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, absent, invalid
from gateway.server.mlflow.protobuf import media_type, safe_path
from gateway.server.mlflow.registry.find import find_version


async def download(door: Door, request: Request) -> Response:
    """Answer `GET /mlflow-artifacts/artifacts/<path>`."""
    path = safe_path(request.path_params["path"])
    place = parse_place(path)
    if place is None:
        raise absent(f"No such artifact: '{path:.300}'")
    return await _send(door, request, place, path)


async def download_of_run(door: Door, request: Request) -> Response:
    """Answer `GET /get-artifact?run_id=&path=`, by which MLflow's pages show a file."""
    path = _path(request, "path")
    run = await door.runs.known.find(_asked(request, "run_id") or _asked(request, "run_uuid"))
    shown = f"{run.info['artifact_uri'].removeprefix('mlflow-artifacts:/')}/{path}"
    return await _send(door, request, Place("run", run.run_id, path), shown)


async def download_of_model(door: Door, request: Request) -> Response:
    """Answer `GET /ajax-api/2.0/mlflow/logged-models/<id>/artifacts/files?artifact_file_path=`."""
    path = _path(request, "artifact_file_path")
    place = Place("model", request.path_params["model_id"], path)
    await check(door, place)
    return await _send(door, request, place, path)


async def download_of_version(door: Door, request: Request) -> Response:
    """Answer `GET /model-versions/get-artifact?name=&version=&path=`."""
    path = _path(request, "path")
    version = await find_version(door, _asked(request, "name"), _asked(request, "version"))
    uri = version["location"] or version["source"]
    place = place_of_uri(uri)
    if place is None:
        raise absent(f"No such artifact: '{path:.300}': the files of this version are at {uri!r:.300}, see there.")
    inner = "/".join(filter(None, (place.path, path)))
    return await _send(door, request, place._replace(path=inner), path)


def _asked(request: Request, name: str) -> str:
    return request.query_params.get(name) or ""


def _path(request: Request, name: str) -> str:
    path = inner_path(_asked(request, name))
    if not path:
        raise Refused("BAD_REQUEST", f'Request must include the "{name}" query parameter.')
    return path


async def _send(door: Door, request: Request, place: Place, shown: str) -> Response:
    """
    Return the bytes of an artifact, or the range of them that the request asks for. Messages name it `shown`.

    Raises Refused: RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE for a folder, and as `storage_of`.
    """
    store = storage_of(door).store
    found, missing = await find(door, place), f"No such artifact: '{shown:.300}'"
    if found is None:
        raise absent(missing)
    if found.is_dir:
        raise invalid(f"Artifact path refers to a directory, not a file: '{shown:.300}'")
    if not found.sha256:
        raise absent(f"{missing}: it is a reference to {found.uri!r:.300}, see there.")
    try:
        size = await asyncio.to_thread(store.size, found.sha256)
    except ArtifactError as error:
        raise Failure(503, str(error), "send the same request again in a moment") from error
    if size is None:
        raise absent(f"{missing}: its bytes are not in {store.url}, but at {found.uri!r:.300}.")
    return send(request, store, found.sha256, size, _headers(place.path))


def _headers(path: str) -> dict[str, str]:
    kind, name = media_type(path), path.rpartition("/")[2]
    plain = "".join(one if one.isascii() and one.isprintable() and one not in '"\\%' else "_" for one in name)
    return {
        "Content-Type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
