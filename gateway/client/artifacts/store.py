"""
A store of artifacts: bytes by their SHA-256, each once.

    <store>/sha256/<first two hex digits>/<64 hex digits>

The bytes of an artifact appear under their name all at once, and only if they have that digest. So whatever has the
name is whole, and storing the same bytes a second time costs one look. What comes back is checked again.

    ClientError
    +- ArtifactError
       +- StoreUnavailable   the store does not answer, is full, or refuses; later it may take the bytes
       +- WrongBytes         bytes do not have the digest under which they are, or should be, stored
       +- ArtifactMissing    the store has no bytes of this digest
"""

from __future__ import annotations

import os
import re

from gateway.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import BinaryIO, Protocol

    class Writer(Protocol):
        """An upload. It continues one that was interrupted: the first `offset` bytes are there already."""

        offset: int

        def write(self, data: bytes) -> None:
            """Append bytes. Raises StoreUnavailable."""

        def commit(self) -> None:
            """Make the bytes visible under their digest. Raises WrongBytes, StoreUnavailable."""

        def abort(self) -> None:
            """End without that. What is written is kept where a later upload can continue it. Does not raise."""

    class Backend(Protocol):
        """One kind of store, as `Store` uses it."""

        def size(self, sha256: str) -> int | None:
            """Return the size in bytes; None if there are none of this digest. Raises StoreUnavailable."""

        def partial(self, sha256: str) -> int:
            """Return how many bytes of an interrupted upload are kept. Raises StoreUnavailable."""

        def writer(self, sha256: str, size: int) -> Writer:
            """Begin or continue an upload of `size` bytes in total. Raises StoreUnavailable."""

        def open(self, sha256: str, offset: int) -> BinaryIO:
            """Return a file that reads from `offset`. Raises ArtifactMissing, StoreUnavailable."""

        def delete(self, sha256: str) -> bool:
            """Delete the bytes; False if there were none. Raises StoreUnavailable."""


READ_BYTES = 1_048_576  # held in memory at once, whatever the size of the artifact
DIGEST = re.compile("[0-9a-f]{64}")
URI = re.compile(r"(?P<store>[a-z][a-z0-9+.-]*:.*)/sha256/(?:[0-9a-f]{2}/)?(?P<sha256>[0-9a-f]{64})", re.DOTALL)
DOOR = "/v1/artifacts"  # of a gateway server, before /sha256/


class ArtifactError(ClientError):
    """An artifact could not be stored or read; the message states the next step."""


class StoreUnavailable(ArtifactError):
    """The store does not answer, is full, or refuses; later it may take the bytes."""


class WrongBytes(ArtifactError):
    """Bytes do not have the digest under which they are, or should be, stored."""


class ArtifactMissing(ArtifactError):
    """The store has no bytes of this digest."""


class Store:
    """A store at one address. Its methods may be called from any thread."""

    def __init__(self, url: str, backend: Backend) -> None:
        self.url = url  # without a slash at the end
        self._backend = backend

    def uri(self, sha256: str) -> str:
        """Return the place of bytes, as an artifact event names it."""
        if self.url.startswith(("http://", "https://")):
            return f"{self.url}{DOOR}/sha256/{checked(sha256)}"
        return f"{self.url}/{key_of(sha256)}"

    def size(self, sha256: str) -> int | None:
        """Return the size in bytes; None if the store has none of this digest. Raises StoreUnavailable."""
        return self._backend.size(checked(sha256))

    def exists(self, sha256: str) -> bool:
        """Return whether the store has these bytes. Raises StoreUnavailable."""
        return self.size(sha256) is not None

    def partial(self, sha256: str) -> int:
        """Return how many bytes of an interrupted upload are kept, from which `writer` continues."""
        return self._backend.partial(checked(sha256))

    def writer(self, sha256: str, size: int) -> Upload:
        """
        Return an upload of `size` bytes, for `with`: write everything from its `offset` on.

        The end of the block makes the bytes visible; an exception keeps what is written for the next upload. Raises
        WrongBytes if they have another digest, and StoreUnavailable.
        """
        return Upload(self._backend.writer(checked(sha256), size))

    def put_file(self, path: str, sha256: str, *, progress: Callable[[int], None] | None = None) -> bool:
        """
        Store the bytes of a file; False if the store has them already. `progress` gets the number of bytes so far.

        Raises WrongBytes if the file does not have this digest (any more), StoreUnavailable, and OSError if the file
        cannot be read.
        """
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if self.size(sha256) == size:
                return False
            with self.writer(sha256, size) as upload:
                file.seek(done := upload.offset)
                while done < size and (data := file.read(min(READ_BYTES, size - done))):
                    upload.write(data)
                    done += len(data)
                    if progress is not None:
                        progress(done)
        return True

    def open(self, sha256: str, offset: int = 0) -> BinaryIO:
        """
        Return a file that reads the bytes from `offset` on. It does not check them: `reading.landing` does.

        Raises ArtifactMissing, StoreUnavailable.
        """
        return self._backend.open(checked(sha256), offset)

    def delete(self, sha256: str) -> bool:
        """Delete the bytes; False if the store had none of this digest. Raises StoreUnavailable."""
        return self._backend.delete(checked(sha256))


class Upload:
    """An upload, as a `with` block."""

    def __init__(self, writer: Writer) -> None:
        self.offset = writer.offset  # the first bytes, which an interrupted upload left
        self.write, self.commit, self.abort = writer.write, writer.commit, writer.abort

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
        else:
            self.abort()


def key_of(sha256: str) -> str:
    """Return the path of bytes in a store. Raises ArtifactError if that is no SHA-256."""
    return f"sha256/{checked(sha256)[:2]}/{sha256}"


def split_uri(uri: str) -> tuple[str, str] | None:
    """Return store and SHA-256 of the place of stored bytes; None for any other URI."""
    found = URI.fullmatch(uri)
    return (found["store"].removesuffix(DOOR), found["sha256"]) if found else None


def checked(sha256: str) -> str:
    """Return a digest. Raises ArtifactError if that is none: it becomes part of a path."""
    if DIGEST.fullmatch(sha256) is None:
        raise ArtifactError(f"{sha256!r:.80} is no SHA-256: write 64 lower-case hex digits")
    return sha256
