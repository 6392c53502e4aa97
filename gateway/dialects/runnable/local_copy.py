"""
The local copy of a run log: one JSON file a chunk, so that runnable reads what it wrote, also in another process.

    <folder>/<run id>/run.json             the run log without branches
    <folder>/<run id>/branch-<name>.json   one branch
    <folder>/<run id>/lock                 held while a process reads and then writes

A file is renamed into place when it is whole, so that a reader and a kill never meet half of one. The form is that of
runnable's own file stores, NaN included.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.client.errors import ClientError
from gateway.client.journal.folder import folder_name, make_private
from gateway.client.stack_file import default_home, expand
from gateway.dialects.runnable.chunks import ROOT, Chunk

FOLDER = "runnable"  # in the home of the stack


class LocalCopy:
    """The files of one run."""

    def __init__(self, folder: str, run_id: str) -> None:
        self._folder = Path(find_folder(folder)) / folder_name(run_id)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the run inside the block, against all threads and processes. Raises OSError."""
        self._make_folder()
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)  # closing is not enough: a child forked meanwhile has the file, too
            os.close(handle)

    def read(self, name: str) -> Chunk | None:
        """Return a chunk; None if there is none. Raises OSError, and ClientError for a file that somebody damaged."""
        return self._load(self._path(name))

    def read_all(self) -> dict[str, Chunk]:
        """Return all chunks, by name. Raises as `read` does."""
        found = {} if (root := self.read(ROOT)) is None else {ROOT: root}
        for path in sorted(self._folder.glob("branch-*.json")):
            if (branch := self._load(path)) is not None:
                found[branch["internal_name"]] = branch
        return found

    def count_branches(self) -> int:
        """Return how many branches are there."""
        return sum(1 for _ in self._folder.glob("branch-*.json"))

    def write(self, name: str, chunk: Chunk) -> None:
        """Replace a chunk. The caller holds the lock. Raises OSError."""
        path = self._path(name)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            unfinished.write_text(json.dumps(chunk, indent=1), encoding="utf-8")
            unfinished.replace(path)
        except OSError:  # the disk may be full
            with suppress(OSError):
                unfinished.unlink()
            raise

    def restore(self, chunks: Mapping[str, Chunk]) -> None:
        """Write chunks that come from elsewhere, that of the run last; those that are here stay. Raises OSError."""
        if chunks:
            self._make_folder()
        for name in sorted(chunks, reverse=True):  # ROOT is "": with it, the copy is whole
            if self.read(name) is None:
                self.write(name, chunks[name])

    def _load(self, path: Path) -> Chunk | None:
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ClientError(
                f"{path} is damaged ({error}): move its folder away, and the run log is read back from PostgreSQL"
            ) from None
        return found

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            with suppress(FileExistsError):  # another process was faster
                make_private(str(self._folder))

    def _path(self, name: str) -> Path:
        return self._folder / (f"branch-{folder_name(name)}.json" if name else "run.json")


def find_folder(named: str) -> str:
    """Return the folder of all local copies: the given one, or `runnable` in the home of the stack. Raises NoHome."""
    return str(Path(expand(named)).absolute() if named else Path(default_home()) / FOLDER)
