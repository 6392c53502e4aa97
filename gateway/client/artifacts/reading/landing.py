"""
Write a downloaded file below a folder: whole, checked, and nowhere else.

The name of an artifact comes from the log, where a producer may have put anything. A name that is not a plain relative
path is refused, and each folder on the way is opened from its parent without following a symbolic link, so that neither
a name nor a link in the folder leads out of it. Bytes go to a part file, named by their digest, next to their place;
a later download continues it. It gets its name once its SHA-256 is right.

    ArtifactError
    +- BadPath      the name cannot be a file below the folder
    +- WrongBytes   the bytes that came are not those that were logged
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager, suppress
from hashlib import sha256 as new_digest

from gateway.client.artifacts.store import READ_BYTES, ArtifactError, WrongBytes

try:
    import fcntl
except ImportError:  # Windows, which cannot open a folder below another without following links either
    fcntl = None  # type: ignore[assignment]  # a module or nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Protocol

    class Source(Protocol):
        """Bytes that can be read once."""

        def read(self, size: int, /) -> bytes:
            """Return up to `size` bytes; b"" at the end."""

    OpenAt = Callable[[int], AbstractContextManager[Source]]  # the bytes from an offset on
    Moved = Callable[[int], None]  # how many bytes are there

MAX_COMPONENT = 255  # bytes of a file name, of every usual file system
_DRIVE = re.compile(r"[A-Za-z]:")
_DIRECTORY, _NO_LINK = (getattr(os, name, 0) for name in ("O_DIRECTORY", "O_NOFOLLOW"))  # 0: Windows


class BadPath(ArtifactError):
    """The name of an artifact cannot be a file below a folder."""


def components_of(name: str) -> list[str]:
    """Return the folders and the file of an artifact's name. Raises BadPath for a name that is no relative path."""
    parts = name.split("/")
    problem = ""
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name:
        problem = "it is absolute, or has a backslash or a drive letter"
    elif "\x00" in name or any(part in ("", ".", "..") for part in parts):
        problem = "it has an empty component, . or .., or U+0000"
    elif any(len(os.fsencode(part)) > MAX_COMPONENT for part in parts):
        problem = f"a component has more than {MAX_COMPONENT} bytes"
    if problem:
        raise BadPath(
            f"artifact {name!r:.200} is not written as a file ({problem}): read it with gateway.artifacts.open"
        )
    return parts


def land(dst: str, name: str, sha256: str, size: int | None, open_at: OpenAt, moved: Moved = lambda _: None) -> str:
    """
    Write the artifact `name` below the folder `dst`, which is made if it is absent; return the path of the file.

    `open_at(offset)` gives its bytes from an offset on. A file with the right bytes is left as it is; without a digest
    nothing is checked or continued. Raises BadPath, WrongBytes, OSError, and what `open_at` raises.
    """
    *folders, file = components_of(name)
    if fcntl is None:
        raise ArtifactError("downloading to a folder is not supported on this system: use gateway.artifacts.open")
    os.makedirs(dst, exist_ok=True)
    with _folder(dst, folders, name) as folder:
        if not _has(folder, file, sha256, size):
            part = f".gateway-{sha256[:32] or os.urandom(8).hex()}.part"
            with _part(folder, part) as handle:
                is_done, continues = False, bool(sha256)
                try:
                    if not _has(folder, file, sha256, size):  # another process may have written it meanwhile
                        _fill(handle, name, sha256, size, open_at, moved)
                        _give_name(folder, part, file, name)
                        is_done = True
                except BadPath:
                    continues = False
                    raise
                finally:
                    if not is_done and not (continues and os.fstat(handle).st_size):  # a later call continues the rest
                        os.unlink(part, dir_fd=folder)
    return os.path.join(dst, *folders, file)


@contextmanager
def _folder(dst: str, folders: list[str], name: str) -> Iterator[int]:
    """Open the folder of an artifact below `dst`, and make what is missing of it. Raises BadPath at a link or file."""
    handle = os.open(dst, os.O_RDONLY | _DIRECTORY)  # the user named it: it may be a link
    try:
        for part in folders:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=handle)
            try:
                inner = os.open(part, os.O_RDONLY | _DIRECTORY | _NO_LINK, dir_fd=handle)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                raise BadPath(
                    f"artifact {name!r:.200} is not written: {part!r:.100} in {dst} is a link or a file, not a folder"
                    ": remove it, or choose another folder"
                ) from None
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _part(folder: int, name: str) -> Iterator[int]:
    """Open a part file that no other process writes to meanwhile."""
    while True:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666, dir_fd=folder)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_named(handle, folder, name):  # the process that held the lock may have given it another name
                yield handle
                return
        finally:
            os.close(handle)


def _is_named(handle: int, folder: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(handle))


def _has(folder: int, file: str, sha256: str, size: int | None) -> bool:
    """Tell whether a file has the bytes of this digest; False without one."""
    if not sha256:
        return False
    try:
        handle = os.open(file, os.O_RDONLY | _NO_LINK | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return False
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or (size is not None and state.st_size != size):
            return False
        digest = new_digest()
        while chunk := os.read(handle, READ_BYTES):
            digest.update(chunk)
        return digest.hexdigest() == sha256
    finally:
        os.close(handle)


def _fill(handle: int, name: str, sha256: str, size: int | None, open_at: OpenAt, moved: Moved) -> None:
    """Write what a part file lacks. Raises WrongBytes when the bytes are wrong even from their start."""
    if not sha256:
        os.ftruncate(handle, 0)
    for is_last in (False, True):
        digest, there = new_digest(), 0
        while chunk := os.read(handle, READ_BYTES):
            digest.update(chunk)
            there += len(chunk)
        began = there
        moved(there)
        if digest.hexdigest() != sha256 and (size is None or there < size):
            there = _copy(handle, there, size, digest.update, open_at, moved)
        if digest.hexdigest() == sha256 or (not sha256 and size in (None, there)):
            return
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        if is_last or not began:  # what was there before may have been damaged: then all of it is read once more
            break
    raise WrongBytes(
        f"the bytes of artifact {name!r:.200} are not those that were logged "
        f"(SHA-256 {digest.hexdigest()[:12]}… instead of {sha256[:12]}…, {there:,} bytes): its store is damaged"
    )


def _copy(
    handle: int,
    there: int,
    size: int | None,
    update: Callable[[bytes], None],
    open_at: OpenAt,
    moved: Moved,
) -> int:
    """Append the bytes from offset `there` on, and return how many there are then; more than `size` end it."""
    with open_at(there) as source:
        while chunk := source.read(READ_BYTES):
            there += len(chunk)
            if size is not None and there > size:
                break
            update(chunk)
            _write_all(handle, chunk)
            moved(there)
    return there


def _write_all(handle: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _give_name(folder: int, part: str, file: str, name: str) -> None:
    try:
        os.rename(part, file, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:
        raise BadPath(f"artifact {name!r:.200} is not written: a folder has its name: choose another folder") from None
