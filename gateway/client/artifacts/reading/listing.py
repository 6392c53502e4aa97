"""
The artifacts of a run, as the query API lists them.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.client.query import get, run_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from gateway.client.query import Api

PAGE = 1_000  # artifacts asked for at once


class Artifact(NamedTuple):
    """A file that a run has logged, or a folder of such files."""

    path: str  # in the run; "/" separates folders
    is_dir: bool
    size: int | None  # bytes; of a folder those of all files in it; None: not known
    sha256: str = ""  # 64 hex digits; "": not known, or a folder
    media_type: str = ""
    uri: str = ""  # place of the bytes, as the process that logged it named it
    stored: bool = False  # the bytes are in an artifact store; False: a reference to a place
    time: int = 0  # µs, when it was logged; of a folder that of its newest file
    files: int = 1  # in a folder; 1 for a file


def list_artifacts(
    api: Api, run_id: str, path: str = "", *, recursive: bool = False, min_offsets: str | None = None
) -> Iterator[Artifact]:
    """
    Yield the artifacts in a folder of a run by path, or with `recursive` every file at or below a path; "." is all.

    Raises ApiRefused for an unknown run, and ApiUnavailable.
    """
    path = "" if path == "." else path
    asked: dict[str, Any] = {"path": path or None, "recursive": "1" if recursive else None, "min_offsets": min_offsets}
    token: str | None = None
    while True:
        page = get(api, run_path(run_id, "artifacts"), limit=PAGE, page_token=token, **asked)
        for one in page["artifacts"]:
            yield Artifact(**{name: one[name] for name in Artifact._fields})
        token = page["next_page_token"]
        if token is None:
            return
