from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from gateway.client.artifacts.address import find_store, open_store
from gateway.client.artifacts.store import (
    ArtifactError,
    ArtifactMissing,
    Store,
    StoreUnavailable,
    WrongBytes,
    split_uri,
)
from gateway.client.errors import ClientError
from tests.support.artifact_door import TOKEN, running_door
from tests.support.client_harness import wait_for

BYTES = bytes(range(256)) * 9_000  # more than is read at once
DIGEST = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Path]]:
    """A store behind a gateway server, and its folder."""
    home = tmp_path_factory.mktemp("door")
    with running_door(home, (home / "store").as_uri()) as running:
        yield open_store(running.url, token=TOKEN), home / "store"


@pytest.fixture(params=["file", "memory", "http"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "http":
        store, folder = request.getfixturevalue("door")
        shutil.rmtree(folder, ignore_errors=True)
        return cast("Store", store)
    return open_store(f"file://{tmp_path}/a%20store/" if request.param == "file" else f"memory://{uuid4()}")


def read(store: Store, digest: str, offset: int = 0) -> bytes:
    with store.open(digest, offset) as file:
        return file.read()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with BYTES."""
    path = tmp_path / "weights.pt"
    path.write_bytes(BYTES)
    return path


def interrupt_upload(store: Store, size: int) -> None:
    """Upload the first `size` of BYTES."""

    def fail() -> None:
        raise OSError("the cable is out")

    with suppress(OSError), store.writer(DIGEST, len(BYTES)) as upload:
        upload.write(BYTES[:size])
        fail()


def test_bytes_are_stored_once_and_come_back(store: Store, source: Path) -> None:
    before = store.size(DIGEST)
    first, second = store.put_file(str(source), DIGEST), store.put_file(str(source), DIGEST)

    assert (before, first, second, store.size(DIGEST)) == (None, True, False, len(BYTES))
    assert read(store, DIGEST) == BYTES
    assert read(store, DIGEST, 2_000_000) == BYTES[2_000_000:]
    assert split_uri(store.uri(DIGEST)) == (store.url, DIGEST)
    assert store.uri(DIGEST).endswith(f"/{DIGEST}")


def test_a_sparse_file_is_stored_whole_and_without_its_holes(tmp_path: Path) -> None:
    store, source = open_store(f"file://{tmp_path}/store"), tmp_path / "sparse"
    data = b"begin" + bytes(5_000_000) + b"end"
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(5_000_005)
        file.write(b"end")
    digest = hashlib.sha256(data).hexdigest()
    store.put_file(str(source), digest)

    assert read(store, digest) == data
    assert (tmp_path / "store/sha256" / digest[:2] / digest).stat().st_blocks * 512 < 3_000_000


def test_an_artifact_of_no_bytes_is_stored(store: Store, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    (tmp_path / "empty").touch()
    store.put_file(str(tmp_path / "empty"), digest)

    assert (store.size(digest), read(store, digest)) == (0, b"")


def test_other_bytes_than_the_digest_says_are_not_stored(store: Store, source: Path) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(WrongBytes, match=other):
        store.put_file(str(source), other)

    assert not store.exists(other)
    assert not store.partial(other)


def test_an_upload_that_fails_in_the_middle_shows_nothing(store: Store, source: Path) -> None:
    interrupt_upload(store, 1_000_000)

    assert not store.exists(DIGEST)
    assert store.put_file(str(source), DIGEST)
    assert store.size(DIGEST) == len(BYTES)


@pytest.mark.parametrize("store", ["file", "memory"], indirect=True)
def test_what_is_deleted_is_missing(store: Store, source: Path) -> None:
    store.put_file(str(source), DIGEST)

    assert [store.delete(DIGEST), store.delete(DIGEST), store.exists(DIGEST)] == [True, False, False]
    with pytest.raises(ArtifactMissing, match=f"{DIGEST} is not there"):
        store.open(DIGEST)


def test_a_gateway_server_has_no_bytes_that_were_not_stored_and_deletes_none(
    door: tuple[Store, Path], source: Path
) -> None:
    store, folder = door
    shutil.rmtree(folder, ignore_errors=True)
    with pytest.raises(ArtifactMissing, match=f"has no artifact {DIGEST}"):
        store.open(DIGEST)
    store.put_file(str(source), DIGEST)

    with pytest.raises(ArtifactError, match="a gateway server deletes no bytes"):
        store.delete(DIGEST)


def test_a_copy_in_the_store_that_is_cut_short_is_replaced(tmp_path: Path, source: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    store.put_file(str(source), DIGEST)
    stored = tmp_path / "store/sha256" / DIGEST[:2] / DIGEST
    stored.write_bytes(BYTES[:-1])

    assert store.put_file(str(source), DIGEST)
    assert stored.read_bytes() == BYTES


def is_stored(store: Store, source: Path, steps: list[int]) -> bool:
    with suppress(StoreUnavailable):
        store.put_file(str(source), DIGEST, progress=steps.append)
    return store.exists(DIGEST)


@pytest.mark.parametrize("store", ["file", "http"], indirect=True)
def test_an_upload_continues_where_it_was_interrupted(store: Store, source: Path) -> None:
    interrupt_upload(store, 1_500_000)
    steps: list[int] = []
    wait_for(lambda: store.partial(DIGEST) > 0)
    kept = store.partial(DIGEST)
    wait_for(lambda: is_stored(store, source, steps))  # the server may not have seen yet that the first one is gone

    assert 0 < kept <= 1_500_000
    assert (store.partial(DIGEST), read(store, DIGEST)) == (0, BYTES)
    assert steps[-1] == len(BYTES)
    assert len(steps) < 4  # it has 3 pieces, and the first one was there


def test_a_connection_that_the_server_has_closed_is_opened_again(tmp_path: Path, source: Path) -> None:
    with running_door(tmp_path, (tmp_path / "store").as_uri()) as running:
        store = open_store(running.url, token=TOKEN)
        before = store.exists(DIGEST)
        for connection in list(running.server.server_state.connections):
            connection.loop.call_soon_threadsafe(connection.transport.abort)  # as a proxy does with idle ones
        wait_for(lambda: not running.server.server_state.connections)

        assert (before, store.put_file(str(source), DIGEST)) == (False, True)


@pytest.mark.parametrize("left", [b"\0" * 1_000_000, b"\0" * 5_000_000], ids=["damaged", "too long"])
def test_a_damaged_rest_of_an_upload_is_dropped(tmp_path: Path, source: Path, left: bytes) -> None:
    store = open_store(f"file://{tmp_path}/store")
    (tmp_path / "store/partial").mkdir(parents=True)
    (tmp_path / "store/partial" / DIGEST).write_bytes(left)
    if len(left) < len(BYTES):
        with pytest.raises(WrongBytes):
            store.put_file(str(source), DIGEST)

    assert store.put_file(str(source), DIGEST)
    assert list((tmp_path / "store/partial").iterdir()) == []


def test_two_uploads_of_the_same_bytes_do_not_disturb_each_other(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    with store.writer(DIGEST, len(BYTES)) as one:
        one.write(BYTES[:100])
        with store.writer(DIGEST, len(BYTES)) as other:
            assert other.offset == 0
            other.write(BYTES)
        one.write(BYTES[100:])

    assert store.size(DIGEST) == len(BYTES)
    assert list((tmp_path / "store/partial").iterdir()) == []


def test_an_upload_into_which_another_host_wrote_is_refused(tmp_path: Path, source: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    upload = store.writer(DIGEST, len(BYTES))
    upload.write(BYTES)
    with (tmp_path / "store/partial" / DIGEST).open("ab") as other:  # its lock is not seen here
        other.write(BYTES[:100])
    with pytest.raises(WrongBytes, match="another upload wrote to it"):
        upload.commit()

    assert store.size(DIGEST) is None
    assert store.put_file(str(source), DIGEST)


def test_bytes_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    sync, rename = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        calls.append(("fsync", os.fstat(handle).st_ino))
        sync(handle)

    def note_rename(old: str, new: str) -> None:
        calls.append(("rename", Path(old).stat().st_ino))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    open_store(f"file://{tmp_path}/store").put_file(str(source), DIGEST)

    (place,) = (tmp_path / "store/sha256").rglob(DIGEST)
    assert calls == [("fsync", place.stat().st_ino), ("rename", place.stat().st_ino)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is no artifact store: write file:///folder"),
        ("/mnt/artifacts", "is no artifact store: write file:///folder"),
        ("file://host/folder", "three slashes"),
        ("file:///a%00b", "names no folder"),
        ("file:///a?b", "and # as %3F and %23"),
        ("https://user:secret@host", "must have no password"),
        ("https://secret@host", "put the token into GATEWAY_TOKEN"),
        ("https://host/?token=secret", "must have no password and no `?`"),
        ("s3://key:secret@bucket/a", "must have no password"),
        ("simplecache::sftp://user:p@secret@host/a", "must have no password"),
        ("https://host:port", "write https://host:port"),
        ("nonsense://x", "cannot be opened"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        open_store(url)
    if "secret" in url:  # refused before anything names it, the log above all
        with pytest.raises(ArtifactError, match=message):
            find_store({"GATEWAY_ARTIFACTS": url})

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 65, "a" * 64 + "\n"])
def test_what_is_no_digest_never_becomes_a_path(tmp_path: Path, digest: str) -> None:
    store = open_store(f"file://{tmp_path}/store")

    with pytest.raises(ArtifactError, match="is no SHA-256"):
        store.size(digest)


def test_a_store_that_is_no_folder_or_away_is_unavailable(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="make it a folder that can be read and written"):
        open_store(f"file://{tmp_path}/file/store").put_file(str(source), DIGEST)
    with pytest.raises(StoreUnavailable, match=r"http://127.0.0.1:9 cannot be reached \(.*refused\)"):
        open_store("http://127.0.0.1:9").put_file(str(source), DIGEST)


def test_a_full_store_is_unavailable(tmp_path: Path, source: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    try:
        with pytest.raises(StoreUnavailable, match=f"{os.strerror(errno.EFBIG)}: free disk there"):
            open_store(f"file://{tmp_path}/store").put_file(str(source), DIGEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert open_store(f"file://{tmp_path}/store").put_file(str(source), DIGEST)


@pytest.mark.parametrize(("module", "url"), [("fsspec", "memory://x"), ("s3fs", "s3://bucket/x")])
def test_a_library_that_is_missing_is_named_with_its_extra(module: str, url: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from gateway.client.artifacts.address import open_store\n"
        f"try: open_store({url!r})\nexcept Exception as error: print(type(error).__name__, error)"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.startswith("ArtifactError")
    assert module in shown
    assert "pip install 'tracking-gateway[artifacts]'" in shown


def test_the_store_is_found_in_environment_file_and_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = {"GATEWAY_HOME": str(tmp_path)}
    nothing = find_store(home)
    (tmp_path / "stack.json").write_text('{"settings": {"artifacts": "file:///stack"}}')
    stack = find_store(home)
    (tmp_path / "gateway.toml").write_text('artifacts = "https://theirs"')
    toml = find_store({**home, "GATEWAY_TOKEN": "mine"})
    chosen = find_store({**home, "GATEWAY_TOKEN": "mine", "GATEWAY_CONFIG": "gateway.toml"})
    variable = find_store({**home, "GATEWAY_TOKEN": "mine", "GATEWAY_ARTIFACTS": "https://ours"})

    assert nothing is None
    assert [(one.url, one.token) for one in (stack, toml, chosen, variable) if one] == [
        ("file:///stack", ""),
        ("https://theirs", ""),  # a file in the working directory does not get the token of the environment
        ("https://theirs", "mine"),
        ("https://ours", "mine"),
    ]
    with pytest.raises(ClientError, match="GATEWAY_TOKEN does not fit into a header"):
        find_store({**home, "GATEWAY_TOKEN": "two words", "GATEWAY_ARTIFACTS": "https://ours"})
