"""
Proof that a folder is a journal, and that a file in it is one that a journal writes.

Other programs write a `meta.json`, a file called `lock` or `*.seg` too, and `gateway sync` deletes what is sent. So
names alone prove nothing: the content must be a journal's. One of three is enough, because a disk may have damaged the
others: a meta.json with format, run and producer; an intact header of a segment with the same; an intact state of a
shipping cursor.
"""

from __future__ import annotations

import json
import os
import stat

from gateway.client.journal.cursor import CURSOR_PREFIX, is_cursor_state, producer_of
from gateway.client.journal.format import HEADER, read_record
from gateway.client.journal.grants import is_grant
from gateway.client.journal.segment import PREALLOCATED, SUFFIX, is_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LOCK, META = "lock", "meta.json"
MAX_META = 65_536  # bytes


def is_ours(name: str) -> bool:
    """Return whether a journal writes files of this name."""
    is_named = name in (LOCK, META) or is_segment(name.removesuffix(PREALLOCATED))
    return is_named or bool(producer_of(name)) or is_grant(name)


def is_journal(folder: str, names: Iterable[str]) -> bool:
    """Return whether the content of a folder, whose files have these names, proves that it is a journal."""
    ours = sorted(filter(is_ours, names))
    if META in ours and read_meta(folder):
        return True
    return any(_is_proof(os.path.join(folder, name), name) for name in ours)


def deletion_order(name: str) -> tuple[int, str]:
    """Return the key by which the files of a journal are sorted to be deleted: first what would be sent, last META."""
    is_content = name.endswith((SUFFIX, PREALLOCATED))
    order = 0 if is_content else 1 if name.startswith(CURSOR_PREFIX) else 3 if name == META else 2
    return order, name


def read_meta(folder: str) -> dict[str, Any]:
    """Return the content of a journal's meta.json; empty when the file is missing, damaged or not a journal's."""
    return parse_meta(_begin_of(os.path.join(folder, META)))


def find_meta(folder: str) -> dict[str, Any]:
    """Return the content of meta.json, or of the header of a segment, which repeats it, when the file is no use."""
    if found := read_meta(folder):
        return found
    try:
        names = sorted(name for name in os.listdir(folder) if is_segment(name))
    except OSError:
        return {}
    return next(filter(None, (_header_of(os.path.join(folder, name)) for name in names)), {})


def parse_meta(text: bytes) -> dict[str, Any]:
    """Return the facts about a journal in this JSON; empty when it is damaged or about something else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or type(found.get("format")) is not int:
        return {}
    return found if all(isinstance(found.get(name), str) for name in ("run_id", "producer")) else {}


def _is_proof(path: str, name: str) -> bool:
    if is_segment(name.removesuffix(PREALLOCATED)):
        return bool(_header_of(path))
    producer = producer_of(name)
    return bool(producer) and is_cursor_state(_begin_of(path), producer)


def _header_of(path: str) -> dict[str, Any]:
    begin = _begin_of(path)
    header = read_record(begin, 0, len(begin))
    return parse_meta(header.payload) if header is not None and header.kind == HEADER else {}


def _begin_of(path: str) -> bytes:
    """Return the first bytes of a regular file; b"" when there is none, or it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a stranger's file may be a pipe, which would block
    except OSError:
        return b""
    try:
        return os.read(handle, MAX_META) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(handle)
