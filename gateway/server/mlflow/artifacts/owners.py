"""
What a run or a logged model has of artifacts: read from the query API, and written to the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import quote

from gateway.client.encoding.values import now
from gateway.server.artifacts.incoming import Stored
from gateway.server.mlflow.artifacts.places import Place
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.logged_models.artifacts import StoredFile, add_model_file, remove_model_files
from gateway.server.mlflow.logged_models.models import read_model, unknown_model
from gateway.server.mlflow.protobuf import media_type
from gateway.server.mlflow.reading import NotThere
from gateway.server.mlflow.runs.known import no_run

PAGE = 10_000  # artifacts of one answer of the query API


class Found(NamedTuple):
    """An artifact, or a folder of artifacts."""

    path: str
    is_dir: bool
    size: int | None = None  # bytes of a file; None: not known
    sha256: str = ""  # empty: its bytes are in no store
    uri: str = ""


async def check(door: Door, place: Place) -> None:
    """Raise Refused RESOURCE_DOES_NOT_EXIST if there is no such run or model."""
    if place.owner == "run":
        await door.runs.known.find(place.id)
    else:
        await read_model(door, place.id, allow_deleted=True)


async def children(door: Door, place: Place) -> list[Found]:
    """
    Return the files and folders directly in a folder, by path; nothing for a path of a file or of nothing.

    Raises Refused RESOURCE_DOES_NOT_EXIST if there is no such run or model.
    """
    return sorted([one async for one in _entries(door, place, recursive=False)])


async def find(door: Door, place: Place) -> Found | None:
    """Return the artifact or the folder at a path; None if there is none, or no such run or model."""
    try:
        async for one in _entries(door, place, recursive=True, limit=1):
            return one if one.path == place.path else Found(place.path, is_dir=True)
    except NotThere:
        return None
    return None


async def add(door: Door, place: Place, uri: str, stored: Stored) -> None:
    """Record an artifact whose bytes are in the store. Raises Refused as writers of runs and of models do."""
    file = StoredFile(uri, stored.size, stored.sha256, media_type(place.path))
    if place.owner == "run":
        body = {"kind": "artifact", "time": now(), "name": place.path, **file._asdict()}
        await door.runs.append(await door.runs.known.find(place.id), [body])
    else:
        await add_model_file(door, place.id, place.path, file)


async def remove(door: Door, place: Place) -> None:
    """Delete an artifact, or all of a folder; what is not there is no error, as in MLflow."""
    if place.owner == "model":
        await remove_model_files(door, place.id, place.path)
        return
    try:
        names = [one.path async for one in _entries(door, place, recursive=True)]
    except NotThere:
        return
    if names:
        bodies = [{"kind": "deleted", "time": now(), "what": "artifact", "name": name} for name in names]
        await door.runs.append(await door.runs.known.find(place.id), bodies)


def unknown(place: Place) -> Refused:
    """Return MLflow's refusal of an unknown run or model."""
    return no_run(place.id) if place.owner == "run" else unknown_model(place.id)


async def _entries(door: Door, place: Place, *, recursive: bool, limit: int = 0) -> AsyncIterator[Found]:
    """Yield entries by path; `limit`: at most so many, 0: all. Raises NotThere if there is no such run or model."""
    kind = "runs" if place.owner == "run" else "logged-models"
    path, token = f"/v1/{kind}/{quote(place.id, safe='')}/artifacts", None
    while True:
        asked: dict[str, Any] = {"path": place.path, "recursive": recursive, "limit": limit or PAGE}
        page = await door.reader.get(path, page_token=token, **asked)
        for one in page["artifacts"]:
            sha256 = one["sha256"] if one["stored"] else ""
            yield Found(one["path"], one["is_dir"], None if one["is_dir"] else one["size"], sha256, one["uri"])
        token = page["next_page_token"]
        if token is None or limit:
            return
