"""
Files of a logged model: kept by its events, and listed from the query API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.logged_models.models import check_exists, unknown_model
from gateway.server.mlflow.reading import NotThere
from gateway.server.mlflow.requests import write

AT_ONCE = 10_000  # files of one page of the query API


class StoredFile(NamedTuple):
    """Bytes that the artifact store has."""

    uri: str
    size: int  # bytes
    sha256: str  # 64 hex digits
    media_type: str = ""


async def add_model_file(door: Door, model_id: str, path: str, file: StoredFile) -> None:
    """Make stored bytes a file of a model; it replaces one of the same path. Raises Refused."""
    await check_exists(door, model_id)
    await write(door, "logged_models", model_id, "logged_model_artifact", path=path, **file._asdict())


async def remove_model_files(door: Door, model_id: str, path: str) -> None:
    """Remove a file of a model, or all files below a path; all of its files if the path is empty. Raises Refused."""
    await write(door, "logged_models", model_id, "logged_model_artifact_deleted", path=path)


async def list_model_files(
    door: Door, model_id: str, path: str = "", *, recursive: bool = False
) -> Sequence[Mapping[str, Any]]:
    """
    Return the files and folders directly in a folder of a model, by path; with `recursive` all files at or below it.

    Each is an ArtifactEntry (schemas/api). Raises Refused for a model that does not exist.
    """
    found: list[Mapping[str, Any]] = []
    token = None
    while True:
        try:
            page = await door.reader.get(
                f"/v1/logged-models/{quote(model_id, safe='')}/artifacts",
                path=path,
                recursive=str(recursive).lower(),
                limit=AT_ONCE,
                page_token=token,
            )
        except NotThere:
            raise unknown_model(model_id) from None
        found += page["artifacts"]
        token = page["next_page_token"]
        if token is None:
            return found
