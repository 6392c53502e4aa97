"""
Let one system user pass through closed folders, when root runs a server as that user.

The user gets the right to search a folder (`x`) in its access control list, and no other user gets any: opening /root
to all users would last longer than the server. The list is the extended attribute that `setfacl -m u:USER:x` writes;
its format is that of linux/posix_acl_xattr.h: version 2, then for each entry a tag, permissions and an id,
little-endian.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_SEARCH = 1


def let_search(path: Path, user: int) -> None:
    """
    Let a user (by id) search a folder and all above it. Raises OSError.

    Where the file system has no access control lists, all users may search them from then on.
    """
    for folder in (path, *path.parents):
        found = folder.stat()
        if found.st_mode & stat.S_IXOTH or found.st_uid == user:
            continue
        try:
            os.setxattr(folder, _ATTRIBUTE, with_search(_entries(folder, found.st_mode), user))
        except OSError:
            folder.chmod(found.st_mode | stat.S_IXOTH)


def with_search(entries: list[tuple[int, int, int]], user: int) -> bytes:
    """Return a list (tag, permissions, id) with the right of a user to search, as the attribute holds it."""
    kept = [one for one in entries if one[0] != _MASK and one[:1] + one[2:] != (_USER, user)]
    mine = next((rights for tag, rights, owner in entries if (tag, owner) == (_USER, user)), 0) | _SEARCH
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), None)
    if mask is None:  # the rights of the group are no longer limited by it
        mask = next((rights for tag, rights, _ in entries if tag == _GROUP), 0)
    kept += [(_USER, mine, user), (_MASK, mask | _SEARCH, _NO_ID)]
    return _VERSION + b"".join(_ENTRY.pack(*one) for one in sorted(kept, key=lambda one: (one[0], one[2])))


def _entries(folder: Path, mode: int) -> list[tuple[int, int, int]]:
    try:
        content = os.getxattr(folder, _ATTRIBUTE)
    except OSError:  # it has none: the mode says it all
        return [(_OWNER, mode >> 6 & 7, _NO_ID), (_GROUP, mode >> 3 & 7, _NO_ID), (_OTHER, mode & 7, _NO_ID)]
    return [_ENTRY.unpack_from(content, at) for at in range(len(_VERSION), len(content), _ENTRY.size)]
