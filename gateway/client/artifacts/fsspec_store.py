"""
A store that fsspec has a driver for: s3://, gs://, memory:// and others. The only file that imports fsspec.

Object stores show an upload only when all of it is there, so it goes to its name at once. Elsewhere it is written under
a temporary name and renamed. fsspec cannot continue an upload: an interrupted one is repeated.
"""

from __future__ import annotations

import os
from hashlib import sha256 as new_digest

from gateway.client.artifacts.store import ArtifactError, ArtifactMissing, StoreUnavailable, WrongBytes, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

INSTALL = "pip install 'tracking-gateway[artifacts]', or 'tracking-gateway-client[artifacts]' where that is installed"
ATOMIC = {"s3", "s3a", "gs", "gcs", "abfs", "az"}  # an object appears when its upload is complete
BLOCK_BYTES = 16_777_216  # of a multipart upload: 10,000 of them, the most that S3 takes, are 160 GB


class FsspecBackend:
    """A file system of fsspec and a path in it."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            import fsspec
        except ImportError as error:
            raise ArtifactError(f"artifact store {url} needs fsspec, which is not installed: {INSTALL}") from error
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except ImportError as error:  # of the driver: s3fs for s3://
            raise ArtifactError(
                f"artifact store {url} needs a library that is not installed ({error}): {INSTALL}"
            ) from error
        except Exception as error:  # each driver has exceptions of its own
            raise ArtifactError(
                f"artifact store {url} cannot be opened ({error}): correct GATEWAY_ARTIFACTS"
            ) from error
        self._is_atomic = url.partition("://")[0] in ATOMIC

    def size(self, sha256: str) -> int | None:
        """Return the size in bytes; None if there are none of this digest. Raises StoreUnavailable."""
        path = self._path(sha256)
        try:
            self._fs.invalidate_cache(path.rpartition("/")[0])  # another process may have stored it meanwhile
            return int(self._fs.info(path)["size"])
        except FileNotFoundError:
            return None
        except Exception as error:  # each driver has exceptions of its own
            raise self.unavailable(error) from error

    def partial(self, sha256: str) -> int:
        """Return 0: fsspec cannot continue an upload."""
        return 0

    def writer(self, sha256: str, size: int) -> FsspecWriter:
        """Begin an upload. Raises StoreUnavailable."""
        path = self._path(sha256)
        part = path if self._is_atomic else f"{self._root}/partial/{sha256}.{os.urandom(8).hex()}"
        try:
            for folder in {part.rpartition("/")[0], path.rpartition("/")[0]} if not self._is_atomic else ():
                self._fs.makedirs(folder, exist_ok=True)
            block = max(BLOCK_BYTES, size // 9_000)
            return FsspecWriter(self, self._fs.open(part, "wb", block_size=block), part, path)
        except Exception as error:  # each driver has exceptions of its own
            raise self.unavailable(error) from error

    def open(self, sha256: str, offset: int) -> BinaryIO:
        """Return a file that reads from `offset`. Raises ArtifactMissing, StoreUnavailable."""
        path = self._path(sha256)
        try:
            file: BinaryIO = self._fs.open(path, "rb")
            file.seek(offset)
        except FileNotFoundError:
            raise ArtifactMissing(f"{self._url}/{key_of(sha256)} is not there: was it deleted? Log it again") from None
        except Exception as error:  # each driver has exceptions of its own
            raise self.unavailable(error) from error
        return file

    def delete(self, sha256: str) -> bool:
        """Delete the bytes; False if there were none. Raises StoreUnavailable."""
        try:
            self._fs.rm_file(self._path(sha256))
        except FileNotFoundError:
            return False
        except Exception as error:  # each driver has exceptions of its own
            raise self.unavailable(error) from error
        return True

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{key_of(sha256)}"

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """Return the error for whatever a driver raises: each has exceptions of its own."""
        return StoreUnavailable(
            f"artifact store {self._url}: {error or type(error).__name__}: look at its address and rights"
        )

    def publish(self, part: str, path: str) -> None:
        """Rename an upload that is complete. Raises whatever the driver raises."""
        if part != path:
            self._fs.mv(part, path)

    def discard(self, part: str, path: str) -> None:
        """Delete an upload that is not complete."""
        if part != path:
            self._fs.rm_file(part)


class FsspecWriter:
    """An upload through a file of fsspec."""

    offset = 0

    def __init__(self, backend: FsspecBackend, file: Any, part: str, path: str) -> None:
        self._backend, self._file, self._part, self._path = backend, file, part, path
        self._digest = new_digest()

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StoreUnavailable."""
        try:
            self._file.write(data)
        except Exception as error:  # each driver has exceptions of its own
            raise self._backend.unavailable(error) from error
        self._digest.update(data)

    def commit(self) -> None:
        """Make the object visible. Raises WrongBytes, StoreUnavailable."""
        if (found := self._digest.hexdigest()) != (sha256 := self._path.rpartition("/")[2]):
            self.abort()
            raise WrongBytes(f"the bytes have SHA-256 {found}, not {sha256}: nothing is stored, send them again")
        try:
            self._file.close()
            self._backend.publish(self._part, self._path)
        except Exception as error:  # each driver has exceptions of its own
            raise self._backend.unavailable(error) from error

    def abort(self) -> None:
        """Discard what is written. To close the file would complete the upload of an object store."""
        try:
            if hasattr(self._file, "discard"):
                self._file.discard()
            if hasattr(self._file, "buffer"):  # of an object store: nothing is flushed from now on
                self._file.closed = True
            else:
                self._file.close()
            self._backend.discard(self._part, self._path)
        except Exception:  # noqa: BLE001 -- the driver's own; the error that ended the upload is on its way to the caller
            return
