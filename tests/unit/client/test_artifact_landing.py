"""Downloaded files land below their folder, checked and continued; names and links never lead out of it."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from gateway.client.artifacts.reading.landing import BadPath, components_of, land
from gateway.client.artifacts.store import WrongBytes

CONTENT = bytes(range(256)) * 9_000  # 2.3 MB: more than one read
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Origin:
    """Bytes that a store has, and the offsets from which they were asked for. It fails after `fails_at` bytes."""

    def __init__(self, content: bytes = CONTENT, *, fails_at: int | None = None) -> None:
        self.content, self.fails_at, self.asked = content, fails_at, list[int]()

    @contextmanager
    def __call__(self, offset: int) -> Iterator[io.BytesIO]:
        self.asked.append(offset)
        yield self if self.fails_at is not None else io.BytesIO(self.content[offset:])  # type: ignore[misc]

    def read(self, size: int, /) -> bytes:
        assert self.fails_at is not None
        if self.asked[-1] >= self.fails_at:
            raise ConnectionResetError(errno.ECONNRESET, "the store is away")
        start, end = self.asked[-1], min(self.asked[-1] + size, self.fails_at)
        self.asked[-1] = end
        return self.content[start:end]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_a_file_lands_in_its_folders(tmp_path: Path) -> None:
    moves: list[int] = []
    origin = Origin()

    found = land(str(tmp_path / "new/dst"), "model/wäights.pt", DIGEST, len(CONTENT), origin, moves.append)

    assert found == str(tmp_path / "new/dst/model/wäights.pt")
    assert Path(found).read_bytes() == CONTENT
    assert files(tmp_path) == ["new/dst/model/wäights.pt"]
    assert (moves[0], moves[-1], moves == sorted(moves)) == (0, len(CONTENT), True)
    # A second time nothing is read; other bytes under the name are replaced.
    assert land(str(tmp_path / "new/dst"), "model/wäights.pt", DIGEST, None, origin) == found
    assert origin.asked == [0]
    Path(found).write_bytes(b"older")
    land(str(tmp_path / "new/dst"), "model/wäights.pt", DIGEST, len(CONTENT), origin)
    assert Path(found).read_bytes() == CONTENT


def test_an_empty_file_and_one_without_digest(tmp_path: Path) -> None:
    empty = hashlib.sha256(b"").hexdigest()

    assert Path(land(str(tmp_path), "empty", empty, 0, Origin(b""))).read_bytes() == b""
    assert Path(land(str(tmp_path), "unknown", "", None, Origin())).read_bytes() == CONTENT
    assert files(tmp_path) == ["empty", "unknown"]


def test_a_download_that_was_cut_is_continued(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError):
        land(str(tmp_path), "a", DIGEST, len(CONTENT), Origin(fails_at=1_500_000))
    assert not (tmp_path / "a").exists()

    origin = Origin()
    land(str(tmp_path), "a", DIGEST, len(CONTENT), origin)

    assert origin.asked == [1_500_000]
    assert (files(tmp_path), (tmp_path / "a").read_bytes() == CONTENT) == (["a"], True)


def test_a_damaged_part_is_read_again_from_its_start(tmp_path: Path) -> None:
    (tmp_path / f".gateway-{DIGEST[:32]}.part").write_bytes(b"damaged")
    origin = Origin()

    land(str(tmp_path), "a", DIGEST, len(CONTENT), origin)

    assert origin.asked == [7, 0]
    assert (files(tmp_path), (tmp_path / "a").read_bytes() == CONTENT) == (["a"], True)


@pytest.mark.parametrize("wrong", [b"other bytes", CONTENT[:-1], CONTENT + b"x", b""])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_other_bytes_are_refused_and_nothing_is_left(tmp_path: Path, wrong: bytes, size: int | None) -> None:
    with pytest.raises(WrongBytes, match=r"artifact 'a' are not those that were logged .*its store is damaged"):
        land(str(tmp_path), "a", DIGEST, size, Origin(wrong))

    assert files(tmp_path) == []


def test_a_download_without_digest_that_was_cut_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError):
        land(str(tmp_path), "a", "", None, Origin(fails_at=10))

    assert files(tmp_path) == []


def test_a_store_that_never_ends_is_cut_at_the_size_that_was_logged(tmp_path: Path) -> None:
    class Endless(Origin):
        def read(self, size: int, /) -> bytes:
            return bytes(size)

    with pytest.raises(WrongBytes):
        land(str(tmp_path), "a", DIGEST, 10, Endless(fails_at=0))


HOSTILE = [
    "../a", "a/../../b", "/etc/passwd", "//a", "a//b", "a/", "./a", "a/.", "..", ".", "", "C:/a", "c:a", "C:\\a",
    "..\\a", "a\\..\\b", "\\\\host\\share", "a\x00b", "x" * 256, "a/" + "ä" * 128,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_writes_nothing(tmp_path: Path, name: str) -> None:
    dst = tmp_path / "outer/dst"

    with pytest.raises(BadPath, match="is not written as a file"):
        land(str(dst), name, DIGEST, None, Origin())

    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["a", "a.b/c d/é", "...", "..a/b..", "-rf", "~/x", "$HOME", "ab:c", "NUL", "x" * 255])
def test_other_names_are_plain_paths(name: str) -> None:
    assert "/".join(components_of(name)) == name


@pytest.mark.parametrize("place", ["link", "model/link"])
def test_a_link_in_the_folder_is_not_followed(tmp_path: Path, place: str) -> None:
    (tmp_path / "dst/model").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "dst" / place).symlink_to(tmp_path / "outside")

    with pytest.raises(BadPath, match=r"'link' in .* is a link or a file, not a folder"):
        land(str(tmp_path / "dst"), f"{place}/a", DIGEST, None, Origin())

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_place_of_the_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "dst").mkdir()
    (tmp_path / "outside").write_bytes(b"untouched")
    (tmp_path / "dst/a").symlink_to(tmp_path / "outside")

    land(str(tmp_path / "dst"), "a", DIGEST, None, Origin())

    assert ((tmp_path / "outside").read_bytes(), (tmp_path / "dst/a").is_symlink()) == (b"untouched", False)


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "dst").symlink_to(tmp_path / "real")

    land(str(tmp_path / "dst"), "a", DIGEST, None, Origin())

    assert files(tmp_path / "real") == ["a"]


def test_a_file_and_a_folder_of_one_name_are_told(tmp_path: Path) -> None:
    land(str(tmp_path), "model/a", DIGEST, None, Origin())

    with pytest.raises(BadPath, match="a folder has its name"):
        land(str(tmp_path), "model", DIGEST, None, Origin())
    with pytest.raises(BadPath, match=r"'a' in .* is a link or a file"):
        land(str(tmp_path), "model/a/b", DIGEST, None, Origin())
    assert files(tmp_path) == ["model/a"]


def test_a_pipe_in_place_of_the_file_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")

    land(str(tmp_path), "a", DIGEST, None, Origin())

    assert (tmp_path / "a").read_bytes() == CONTENT


def test_processes_that_download_the_same_file_read_it_once(tmp_path: Path) -> None:
    origin, is_reading, may_read = Origin(), threading.Event(), threading.Event()

    class Slow:
        @contextmanager
        def __call__(self, offset: int) -> Iterator[io.BytesIO]:
            is_reading.set()
            assert may_read.wait(60)
            with origin(offset) as source:
                yield source

    opens: Callable[[int], AbstractContextManager[io.BytesIO]] = Slow()
    threads = [
        threading.Thread(target=land, args=(str(tmp_path), "a", DIGEST, len(CONTENT), opens)) for _ in range(3)
    ]  # each opens the part file itself, as processes do
    for thread in threads:
        thread.start()
    assert is_reading.wait(60)
    may_read.set()
    for thread in threads:
        thread.join(60)

    assert origin.asked == [0]
    assert (files(tmp_path), (tmp_path / "a").read_bytes() == CONTENT) == (["a"], True)
