"""Bytes whose digest is known at their end: visible when they are whole, and nothing of them before or otherwise."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gateway.client.artifacts.store import StoreUnavailable
from gateway.server.artifacts.incoming import Incoming, Stored
from gateway.server.artifacts.storage import Storage, open_storage
from schemas.runtime.settings import Settings

CONTENT = b"ab" * 700_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def storage_at(url: str, home: Path) -> Storage:
    found = open_storage(Settings(home=home, artifacts=url))
    assert found is not None
    return found


@pytest.fixture(params=["folder", "other"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    url = (tmp_path / "store").as_uri() if request.param == "folder" else f"local://{tmp_path / 'store'}"
    return storage_at(url, tmp_path)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_they_get_their_name_when_they_are_whole(storage: Storage, tmp_path: Path) -> None:
    for is_there in (False, True):
        incoming = Incoming(storage)
        incoming.write(CONTENT[:1_000_000])
        incoming.write(CONTENT[1_000_000:])
        assert storage.store.exists(DIGEST) == is_there
        assert incoming.commit() == Stored(DIGEST, len(CONTENT))
        incoming.abort()  # after that it changes nothing
        with storage.store.open(DIGEST) as file:
            assert file.read() == CONTENT
    assert files(tmp_path) == [f"store/sha256/{DIGEST[:2]}/{DIGEST}"]


def test_no_bytes_are_an_artifact_too(storage: Storage) -> None:
    assert Incoming(storage).commit() == Stored(hashlib.sha256(b"").hexdigest(), 0)
    assert storage.store.size(hashlib.sha256(b"").hexdigest()) == 0


def test_what_ends_early_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    incoming = Incoming(storage)
    incoming.write(CONTENT)
    incoming.abort()
    assert files(tmp_path) == []


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match="Not a directory"):
        Incoming(storage_at((tmp_path / "store").as_uri(), tmp_path))
