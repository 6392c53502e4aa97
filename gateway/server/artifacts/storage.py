"""
The store behind the door: the one that GATEWAY_ARTIFACTS of the server names, through the client's own wrapper.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.client.artifacts.address import open_store
from gateway.client.artifacts.store import ArtifactError, Store
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

SPARE_BYTES = 64 * 1024 * 1024  # left free on the disk of the store
KEEP_PARTIAL_S = 7 * 86_400  # an interrupted upload that is not continued for longer is deleted


class Storage:
    """The store of the door."""

    def __init__(self, store: Store) -> None:
        self.store = store
        is_folder = store.url.startswith("file:")
        self.folder = Path(unquote(urlsplit(store.url).path, errors="surrogateescape")) if is_folder else None

    def has_room(self, size: int) -> bool:
        """Tell whether the disk has room for so many more bytes; True for a store that is no folder."""
        if self.folder is None:
            return True
        existing = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        return shutil.disk_usage(existing).free >= size + SPARE_BYTES

    def remove_stale(self) -> int:
        """Delete what was left of interrupted uploads long ago, and return how many there were."""
        removed = 0
        if self.folder is not None:
            with suppress(OSError), os.scandir(self.folder / "partial") as found:
                for entry in found:
                    with suppress(OSError):  # another server of the same store deleted it
                        if entry.is_file() and entry.stat().st_mtime < time.time() - KEEP_PARTIAL_S:
                            Path(entry.path).unlink()
                            removed += 1
        return removed


def open_storage(settings: Settings) -> Storage | None:
    """
    Return the store that the settings name; None for none, and for another door. Raises BadSettings.

    A door in front of a door would only double the way, and one in front of itself would have no end.
    """
    if not settings.artifacts or settings.artifacts.startswith(("http://", "https://")):
        return None
    try:
        return Storage(open_store(settings.artifacts))
    except ArtifactError as error:
        raise BadSettings(f"setting artifacts: {error}") from error
