"""
Delay a fork while the shipper's thread imports modules.

Otherwise the child inherits partly imported modules and no thread that completes them. Imports take about 0.3 s, once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

TIMEOUT_S = 10.0  # the longest a fork waits

_importing = RLock()  # a signal handler may fork while its thread does
_held_by_forks: list[RLock] = []


@contextmanager
def importing() -> Iterator[None]:
    """Allow no fork inside the block."""
    with _importing:
        yield


def before() -> None:
    """Wait until imports end. In the parent, before a fork."""
    if _importing.acquire(timeout=TIMEOUT_S):
        _held_by_forks.append(_importing)


def after_in_parent() -> None:
    """Allow imports again."""
    if _held_by_forks:
        _held_by_forks.pop().release()


def after_in_child() -> None:
    """Start with a lock that no thread of the parent holds, and release the locks of the parent's journals."""
    global _importing
    _importing = RLock()
    _held_by_forks.clear()
    folders = sys.modules.get("gateway.client.journal.folder")
    if folders is not None:
        folders.forget_locks()
