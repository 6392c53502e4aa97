"""
Bytes whose digest is known only at their end: they are counted and digested while they are written.

For a store in a folder they go into that folder at once, below the name `partial`, and get their name by a rename. For
any other store they are kept in a temporary file of this machine first, because an object cannot be renamed.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from gateway.client.artifacts.store import StoreUnavailable, key_of
from gateway.server.artifacts.storage import Storage


class Stored(NamedTuple):
    """Bytes in the store."""

    sha256: str
    size: int  # bytes


class Incoming:
    """Bytes on their way into a store. No reader finds them before `commit`."""

    def __init__(self, storage: Storage) -> None:
        """Begin. Raises StoreUnavailable."""
        self._store, self._folder = storage.store, storage.folder
        self._digest, self._size = sha256(), 0
        folder = Path(tempfile.gettempdir()) if self._folder is None else self._folder / "partial"
        self._path = folder / f"incoming-{uuid4().hex}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb", buffering=0)
        except OSError as error:
            raise self._unavailable(error) from error

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StoreUnavailable."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._unavailable(error) from error
        self._digest.update(data)
        self._size += len(data)

    def commit(self) -> Stored:
        """Make the bytes visible under their digest, once the disk has them. Raises StoreUnavailable."""
        stored = Stored(self._digest.hexdigest(), self._size)
        if self._store.size(stored.sha256) == stored.size:
            self.abort()
            return stored
        try:
            if self._folder is None:
                self._file.close()
                self._store.put_file(str(self._path), stored.sha256)
                self._path.unlink()
            else:
                os.fsync(self._file.fileno())
                self._file.close()
                place = self._folder / key_of(stored.sha256)
                place.parent.mkdir(parents=True, exist_ok=True)
                self._path.replace(place)
        except OSError as error:
            raise self._unavailable(error) from error
        return stored

    def abort(self) -> None:
        """Delete what was written; nothing after `commit`. Does not raise."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _unavailable(self, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(f"artifact store {self._store.url}: {error.strerror or error}")
