"""
Log a value as an artifact: write it to a file, and log the file as any other.

    <journal home>/.values/<run>/<digest of the name>-<file name>   values of a run without an artifact store

The file is written at once, in the caller's thread, because the value may change afterwards. With an artifact store its
bytes go there, and the file is deleted. Without one it stays, and the run refers to it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b

from gateway.client.artifacts.paths import safe_path
from gateway.client.guards import Refused
from gateway.client.ids import uuid7
from gateway.client.journal.folder import VALUES, folder_name, journal_home, make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.run.artifacts import LoggedArtifact
    from gateway.client.run.stored_artifacts import ArtifactLog

MAX_FILE_NAME = 120  # bytes kept of the name, from its end


def log_value(
    log: ArtifactLog,
    run_id: str,
    write: Callable[[Any, str], None],
    value: object,
    name: object,
    suffix: str | Callable[[object], str],
    context: StepContext,
) -> LoggedArtifact:
    """
    Write a value to a file by `write(value, path)` and log it; `suffix` is that of a name without one.

    Raises Refused for a value that cannot be written, and OSError where no file can be.
    """
    path = safe_path(name)
    if not os.path.splitext(path)[1]:
        path += suffix if isinstance(suffix, str) else suffix(value)
    file = _place(run_id, path)
    fresh = f"{os.path.dirname(file)}/{uuid7()}{os.path.splitext(path)[1]}"
    try:
        with suppress(FileExistsError):
            make_private(os.path.dirname(file))
        write(value, fresh)
        if log.uploads is None:
            os.replace(fresh, file)
            return log.log_path(file, path, "", context)
        return log.log_path(fresh, path, "", context)
    except OSError as error:
        raise Refused("artifact-value", f"{path!r:.100} cannot be written ({error}): make room or set HOME") from error
    finally:
        with suppress(OSError):
            os.unlink(fresh)


def _place(run_id: str, path: str) -> str:
    """Return the file of a value that stays on this machine."""
    digest = blake2b(path.encode(), digest_size=8).hexdigest()
    name = path.rpartition("/")[2].encode()[-MAX_FILE_NAME:].decode(errors="ignore")
    return os.path.join(journal_home(), VALUES, folder_name(run_id), f"{digest}-{name}")
