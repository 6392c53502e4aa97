"""
A store in a folder, for example one that is mounted on all machines. Standard library only.

    <folder>/sha256/ab/abcd...   whole artifacts
    <folder>/partial/abcd...     uploads that are under way or were interrupted

An upload holds a lock on its partial file, so that two processes do not write into one file; the second one uses a file
of its own. A file that was left is continued: its bytes are read again, so the digest covers what is stored.
"""

from __future__ import annotations

import os
from errno import EDQUOT, EFBIG, ENOSPC
from hashlib import sha256 as new_digest
from urllib.parse import unquote, urlsplit

from gateway.client.artifacts.store import (
    READ_BYTES,
    ArtifactError,
    ArtifactMissing,
    StoreUnavailable,
    WrongBytes,
    key_of,
)

try:
    import fcntl
except ImportError:  # Windows: each upload uses a file of its own
    fcntl = None  # type: ignore[assignment]  # a module or nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


ZEROS = bytes(READ_BYTES)


class FolderBackend:
    """A folder on this machine, or one mounted there."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @classmethod
    def at(cls, url: str) -> FolderBackend:
        """Return the folder that a file: URL names. Raises ArtifactError."""
        parts = urlsplit(url)
        path = unquote(parts.path, errors="surrogateescape")
        is_path = path.startswith("/") and "\0" not in path and not parts.query and not parts.fragment
        if parts.netloc not in ("", "localhost") or not is_path:
            raise ArtifactError(
                f"{url!r:.200} names no folder of this machine: write file:///folder, with three slashes, "
                "and ? and # as %3F and %23"
            )
        return cls(path)

    def size(self, sha256: str) -> int | None:
        """Return the size in bytes; None if there are none of this digest. Raises StoreUnavailable."""
        try:
            return os.stat(self._path(sha256)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unavailable(self._folder, error) from error

    def partial(self, sha256: str) -> int:
        """Return how many bytes of an interrupted upload are kept. Raises StoreUnavailable."""
        try:
            return os.stat(self._partial(sha256)).st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise unavailable(self._folder, error) from error

    def writer(self, sha256: str, size: int) -> FolderWriter:
        """Begin or continue an upload of `size` bytes in total. Raises StoreUnavailable."""
        try:
            return FolderWriter(self._folder, self._partial(sha256), self._path(sha256), sha256, size)
        except OSError as error:
            raise unavailable(self._folder, error) from error

    def open(self, sha256: str, offset: int) -> BinaryIO:
        """Return a file that reads from `offset`. Raises ArtifactMissing, StoreUnavailable."""
        try:
            file = open(self._path(sha256), "rb")  # noqa: SIM115 -- the caller closes it
        except FileNotFoundError:
            raise ArtifactMissing(
                f"{self._path(sha256)} is not there: was it deleted? Log the artifact again"
            ) from None
        except OSError as error:
            raise unavailable(self._folder, error) from error
        file.seek(offset)
        return file

    def delete(self, sha256: str) -> bool:
        """Delete the bytes; False if there were none. Raises StoreUnavailable."""
        try:
            os.unlink(self._path(sha256))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unavailable(self._folder, error) from error
        return True

    def _path(self, sha256: str) -> str:
        return os.path.join(self._folder, key_of(sha256))

    def _partial(self, sha256: str) -> str:
        return os.path.join(self._folder, "partial", sha256)


class FolderWriter:
    """An upload into a folder."""

    def __init__(self, folder: str, partial: str, path: str, sha256: str, size: int) -> None:
        self._folder, self._path, self._sha256, self._size = folder, path, sha256, size
        self._digest = new_digest()
        self.offset = 0
        os.makedirs(os.path.dirname(partial), exist_ok=True)
        self._part = partial
        self._file = open(partial, "ab+", buffering=0)  # noqa: SIM115 -- commit and abort close it
        try:
            if not _try_lock(self._file):
                self._file.close()
                self._part = f"{partial}.{os.urandom(8).hex()}"
                self._file = open(self._part, "ab+", buffering=0)  # noqa: SIM115 -- as above
            self._read_again(size)
        except BaseException:  # the lock must not outlive it; the error is passed on
            self._file.close()
            raise

    def _read_again(self, size: int) -> None:
        """Take what an interrupted upload left into the digest, or drop it if it is longer than the artifact."""
        if os.fstat(self._file.fileno()).st_size > size:
            self._file.truncate(0)
        self._file.seek(0)
        while data := self._file.read(READ_BYTES):
            self._digest.update(data)
            self.offset += len(data)

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StoreUnavailable."""
        view = memoryview(data)
        try:
            if data == ZEROS:  # a hole, as a sparse file has: 20 GB of them need no disk
                self._file.truncate(os.fstat(self._file.fileno()).st_size + len(data))
                view = view[:0]
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise unavailable(self._folder, error) from error
        self._digest.update(data)

    def commit(self) -> None:
        """
        Rename the file to its digest, once the disk has its bytes. Raises WrongBytes, StoreUnavailable.

        After a power failure, a file of the right size with other bytes would count as stored for ever, and the copy
        from which it was made is deleted by then.
        """
        try:
            if (found := self._digest.hexdigest()) != self._sha256:
                os.unlink(self._part)
                raise WrongBytes(
                    f"the bytes have SHA-256 {found}, not {self._sha256}: nothing is stored, send them again"
                )
            if (there := os.fstat(self._file.fileno()).st_size) != self._size:  # locks do not reach other hosts
                os.unlink(self._part)
                raise WrongBytes(
                    f"{self._part} has {there:,} bytes, not {self._size:,}: another upload wrote to it: send them again"
                )
            os.fsync(self._file.fileno())
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            os.replace(self._part, self._path)
            self._file.close()  # of NFS, this tells whether the bytes have arrived
        except OSError as error:
            raise unavailable(self._folder, error) from error
        finally:
            self._file.close()

    def abort(self) -> None:
        """Keep what is written for the next upload; a file that only this upload knows is deleted."""
        try:
            if self._part.rpartition(os.sep)[2] != self._sha256:
                os.unlink(self._part)
            self._file.close()
        except OSError:
            return  # the error that ended the upload is on its way to the caller


def _try_lock(file: BinaryIO) -> bool:
    """Lock the partial file; False if another upload has it, or has just renamed it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), os.stat(str(file.name)))
    except OSError:  # held, gone, or a file system without locks
        return False


def unavailable(where: str, error: OSError) -> StoreUnavailable:
    """Return the error that a failure of the file system means, with the next step."""
    is_full = error.errno in (ENOSPC, EDQUOT, EFBIG)
    step = "free disk there" if is_full else "make it a folder that can be read and written"
    return StoreUnavailable(f"artifact store {where}: {error.strerror or error}: {step}")
