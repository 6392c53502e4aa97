"""
Grants: files in the folder of a journal by which its owner lets a node agent cut it.

docs/journal.md says why no identity gets two contents: an agent sends a cut only if its grant is still there after the
cut is written, and who takes a journal back renames the grant before copying the cursor.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from gateway.client.ids import uuid7
from gateway.client.journal.segment import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

GRANTED, REVOKED = "agent.", "revoked."
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GRANT = re.compile(rf"(?:agent|revoked)\.{_ID}\.{_ID}")


def is_grant(name: str) -> bool:
    """Return whether a file has the name of a grant, or of one that was revoked."""
    return _GRANT.fullmatch(name) is not None


def create_grant(folder: str, agent: str) -> str:
    """Let the agent of this id cut the journal of a folder; return the path of the grant. Raises OSError."""
    path = os.path.join(folder, f"{GRANTED}{agent}.{uuid7()}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def find_grant(folder: str, agent: str) -> str:
    """Return the path of the grant that the agent of this id has for a folder; "" when it has none."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith(f"{GRANTED}{agent}.") and is_grant(name)]
    except OSError:
        return ""
    return os.path.join(folder, max(names)) if names else ""


def revoke_grants(folder: str, copy_cursors: Callable[[], None]) -> bool:
    """
    Take a journal back from any agent; return whether one had it. Raises OSError. Can be repeated after any failure.

    `copy_cursors` moves the cursors that an agent may still write to new files. The caller is the owner of the
    journal, or holds its lock.
    """
    names = [name for name in os.listdir(folder) if is_grant(name)]
    if not names:
        return False
    revoked = []
    for name in names:
        gone = f"{REVOKED}{name.partition('.')[2]}"
        if name != gone:
            with suppress(FileNotFoundError):  # a program that deletes old files deleted it: it is revoked
                os.rename(os.path.join(folder, name), os.path.join(folder, gone))
        revoked.append(gone)
    copy_cursors()
    for name in revoked:
        remove(os.path.join(folder, name))
    return True
