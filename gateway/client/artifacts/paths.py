"""
Names of artifacts: paths inside a run, with "/" between the parts, that are safe as files on every system.

Pure, but for `files_below`, which lists a folder.
"""

from __future__ import annotations

import os
import re
import stat

from gateway.client.encoding.values import MAX_NAME, text_of
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILES = 100_000  # in a folder
MAX_PART = 255  # bytes of a file name on the usual file systems
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DRIVE = re.compile(r"^/*([A-Za-z]):")


def safe_path(*parts: object) -> str:
    """
    Return the name of an artifact from its folder and name; parts that are empty are left out.

    A name that would leave the run's folder when it is downloaded (absolute, `..`, a drive letter) loses what does so,
    "\\" becomes "/", control characters become "_", and a name that is too long is cut. One warning says so.
    """
    given = "/".join(text_of(part) for part in parts if part is not None and text_of(part))
    path = _CONTROL.sub("_", given.replace("\\", "/"))
    path = _DRIVE.sub(r"\1/", path)
    kept = "/".join(_cut_start(part, MAX_PART) for part in path.split("/") if part not in ("", ".", ".."))
    kept = _cut_start(kept, MAX_NAME).lstrip("/") or "unnamed"
    if kept != given.rstrip("/").removeprefix("./"):
        warn_once(
            "artifact-name", f"artifact name {given!r:.200} is no path inside the run: it is kept as {kept!r:.200}"
        )
    return kept


def _cut_start(text: str, limit: int) -> str:
    """Return the last bytes of a text that is too long: a file's own name and its ending are there."""
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[-limit:].decode(errors="ignore")


def files_below(folder: str) -> Iterator[tuple[str, str]]:
    """
    Yield path and name of each file below a folder, sorted; a name is relative, with "/" between its parts.

    Links to folders are not followed, and links out of the folder, pipes, sockets, devices and folders that cannot be
    read are passed over: one warning names the first of them. Raises OSError if the folder itself cannot be read.
    """
    os.scandir(folder).close()
    count, root = 0, os.path.realpath(folder)
    for above, folders, names in os.walk(
        folder, onerror=lambda error: _pass_over(str(error.filename), "cannot be read")
    ):
        folders.sort()
        for name in folders:
            if os.path.islink(os.path.join(above, name)):
                _pass_over(os.path.join(above, name), "is a link to a folder")
        for name in sorted(names):
            path = os.path.join(above, name)
            if reason := _why_not(path, root):
                _pass_over(path, reason)
                continue
            count += 1
            if count > MAX_FILES:
                warn_once("artifact-files", f"{folder} holds more than {MAX_FILES:,} files: the others are passed over")
                return
            yield path, os.path.relpath(path, folder).replace(os.sep, "/")


def _why_not(path: str, root: str) -> str:
    """Return why a file is not logged with the others; "" if it is."""
    try:
        if os.path.islink(path) and not os.path.realpath(path).startswith(root + os.sep):
            return "is a link out of the folder"
        return "" if stat.S_ISREG(os.stat(path).st_mode) else "is no regular file"
    except OSError as error:  # a link that leads nowhere, or in a circle
        return f"cannot be read ({error.strerror})"


def _pass_over(path: str, reason: str) -> None:
    warn_once(
        "artifact-passed-over", f"{path} {reason}: it is no artifact, as others of its kind; log it by its own path"
    )
