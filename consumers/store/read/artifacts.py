"""
Artifacts of a run, or of a logged model, as a tree of folders, whose paths are the names of the artifacts.

Two records of a path, of several steps or attempts, are one artifact: the newest. A folder exists as long as an
artifact is below it. Names come from producers and may be anything: a reader that writes files by them checks them.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from consumers.store.pool import PooledConnection
from consumers.store.statements import sql
from schemas.api import ArtifactEntry

_DIGEST = re.compile("[0-9a-f]{64}")


class ArtifactChoice(NamedTuple):
    """Which artifacts of a run a page holds."""

    path: str = ""  # of a folder; "" is that of the run
    recursive: bool = False  # every file at or below the path; otherwise its direct children
    page_token: str | None = None
    limit: int = 1_000


class ArtifactsFound(NamedTuple):
    """A page of artifacts, by path."""

    entries: list[ArtifactEntry]
    next_page_token: str | None


async def find_artifacts(
    connection: PooledConnection, owner: str, choice: ArtifactChoice, statement: str = "list_artifacts"
) -> ArtifactsFound:
    """
    Return a page of the artifacts of an owner: of a run, if the statement is that of runs.

    Its token is f or d (file or folder) and the path of its last entry.
    """
    token = choice.page_token or ""
    after, is_after_folder = token[1:], token[:1] == "d"
    if choice.recursive:
        arguments = [owner, choice.path, after, choice.limit + 1]
        rows = await connection.fetch(sql(f"{statement}_below"), *arguments)
    else:
        folder = choice.path if not choice.path or choice.path.endswith("/") else choice.path + "/"
        arguments = [owner, folder, after, is_after_folder, choice.limit + 1]
        rows = await connection.fetch(sql(statement), *arguments)
    entries = [_entry(row) for row in rows[: choice.limit]]
    is_last = len(rows) <= choice.limit
    return ArtifactsFound(entries, None if is_last else f"{'fd'[entries[-1].is_dir]}{entries[-1].path}")


async def find_artifact(connection: PooledConnection, run_id: str, path: str) -> ArtifactEntry | None:
    """Return the artifact of this path; None if the run has none."""
    rows = await connection.fetch(sql("get_artifact"), run_id, path)
    return _entry(rows[0]) if rows else None


def is_stored(uri: str, sha256: str) -> bool:
    """Tell whether a URI is the place of bytes in an artifact store, which are named by their digest."""
    if not _DIGEST.fullmatch(sha256):
        return False
    try:
        return unquote(urlsplit(uri).path).rpartition("/")[2] == sha256
    except ValueError:  # an odd IPv6 address
        return False


def _entry(row: Any) -> ArtifactEntry:
    if row["is_dir"]:
        size, files, time = row["size"], row["files"], row["time"]
        return ArtifactEntry(path=row["path"], is_dir=True, size=size, files=files, time=time)
    return ArtifactEntry(
        path=row["path"],
        is_dir=False,
        size=row["size"],
        files=1,
        time=row["time"],
        sha256=row["sha256"],
        media_type=row["media_type"],
        uri=row["uri"],
        stored=is_stored(row["uri"], row["sha256"]),
        step_name=row["step_name"],
        attempt=row["attempt"],
    )
