from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
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

BYTES = bytes(range(256)) * 9_000  # more than is read at once
DIGEST = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of each kind that needs no server; tests/integration/client has those that need one."""
    if request.param == "file":
        yield open_store(f"file://{tmp_path}/a%20store/")
        return
    store = open_store(f"memory://{uuid4()}")
    yield store


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


def test_bytes_are_stored_once_and_come_back(store: Store, source: Path, tmp_path: Path) -> None:
    before = store.size(DIGEST)
    first, second = store.put_file(str(source), DIGEST), store.put_file(str(source), DIGEST)
    store.fetch(DIGEST, str(tmp_path / "back"))
    with store.open(DIGEST, 2_000_000) as file:
        rest = file.read()

    assert (before, first, second, store.size(DIGEST)) == (None, True, False, len(BYTES))
    assert (tmp_path / "back").read_bytes() == BYTES
    assert rest == BYTES[2_000_000:]
    assert split_uri(store.uri(DIGEST)) == (store.url, DIGEST)
    assert store.uri(DIGEST).endswith(f"/sha256/{DIGEST[:2]}/{DIGEST}")


def test_an_artifact_of_no_bytes_is_stored(store: Store, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    (tmp_path / "empty").touch()
    store.put_file(str(tmp_path / "empty"), digest)
    store.fetch(digest, str(tmp_path / "back"))

    assert (store.size(digest), (tmp_path / "back").read_bytes()) == (0, b"")


def test_other_bytes_than_the_digest_says_are_not_stored(store: Store, source: Path) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(WrongBytes, match=f"{DIGEST}, not {other}"):
        store.put_file(str(source), other)

    assert not store.exists(other)
    assert not store.partial(other)


def test_an_upload_that_fails_in_the_middle_shows_nothing(store: Store, source: Path) -> None:
    interrupt_upload(store, 1_000_000)

    assert not store.exists(DIGEST)
    assert store.put_file(str(source), DIGEST)
    assert store.size(DIGEST) == len(BYTES)


def test_what_is_deleted_is_missing(store: Store, source: Path, tmp_path: Path) -> None:
    store.put_file(str(source), DIGEST)

    assert [store.delete(DIGEST), store.delete(DIGEST), store.exists(DIGEST)] == [True, False, False]
    with pytest.raises(ArtifactMissing, match=f"{DIGEST} is not there"):
        store.fetch(DIGEST, str(tmp_path / "back"))


def test_a_store_that_returns_other_bytes_is_reported(tmp_path: Path, source: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    store.put_file(str(source), DIGEST)
    stored = tmp_path / "store/sha256" / DIGEST[:2] / DIGEST
    stored.write_bytes(BYTES[:-1] + b"?")
    with pytest.raises(WrongBytes, match=r"has other bytes \(2,304,000 of them\): log the artifact again"):
        store.fetch(DIGEST, str(tmp_path / "back"))

    assert [path.name for path in tmp_path.iterdir()] == ["weights.pt", "store"]
    stored.write_bytes(BYTES[:-1])  # a copy that is cut short is replaced by the next upload
    assert store.put_file(str(source), DIGEST)
    assert stored.read_bytes() == BYTES


def test_an_upload_and_a_download_continue_where_they_were_interrupted(tmp_path: Path, source: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    interrupt_upload(store, 1_500_000)
    steps: list[int] = []
    kept = store.partial(DIGEST)
    store.put_file(str(source), DIGEST, progress=steps.append)
    (tmp_path / "back.part").write_bytes(BYTES[:2_000_000])
    store.fetch(DIGEST, str(tmp_path / "back"), progress=steps.append)

    assert (kept, store.partial(DIGEST)) == (1_500_000, 0)
    assert steps == [len(BYTES), len(BYTES)]  # each in one step: the first bytes were there
    assert (tmp_path / "back").read_bytes() == BYTES


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


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is no artifact store: write file:///folder"),
        ("/mnt/artifacts", "is no artifact store: write file:///folder"),
        ("file://host/folder", "three slashes"),
        ("file:///a%00b", "names no folder"),
        ("https://user:secret@host", "without a user: put the token into GATEWAY_TOKEN"),
        ("https://host:port", "write https://host:port"),
        ("nonsense://x", "cannot be opened"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        open_store(url)

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
