"""
Store files for a run that is not open here, and describe them as the events that its log gets.
"""

from __future__ import annotations

import os

from gateway.client.artifacts.paths import files_below, safe_path
from gateway.client.artifacts.uploads import store_file
from gateway.client.run.artifacts import absolute_path, artifact_body, guess_media_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.artifacts.store import Store


def store_and_describe(store: Store, path: str, name: str | None) -> list[dict[str, Any]]:
    """
    Store a file, or each file below a folder, and return the artifact events, without their time.

    `name` is the name of the file in the run, or the folder there. Raises ArtifactError, and OSError.
    """
    absolute = absolute_path(path)
    if os.path.isdir(absolute):
        found = [(file, safe_path(name, relative)) for file, relative in files_below(absolute)]
    else:
        found = [(absolute, safe_path(os.path.basename(absolute) if name is None else name))]
    return [_stored(store, file, path_in_run) for file, path_in_run in found]


def _stored(store: Store, file: str, name: str) -> dict[str, Any]:
    uri, size, digest = store_file(store, file)
    return {"kind": "artifact", **artifact_body(name, uri, size, digest, guess_media_type(file))}
