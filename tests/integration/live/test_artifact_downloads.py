"""`gateway.artifacts` reads artifacts through the real API: from a store, through the API, and through a door."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway import artifacts
from gateway.client.artifacts.address import open_store
from schemas import events as ev
from schemas.wire import Envelope
from tests.support.artifact_door import TOKEN, running_door
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import Author

T = TypeVar("T")
BIG = bytes(range(256)) * 10_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "server/store"


@pytest.fixture
async def live(
    kafka: str, topic: str, database: str, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Live]:
    settings = settings_for(kafka, topic, database, tmp_path)
    async with serving(settings.model_copy(update={"artifacts": store.as_uri()})) as running:
        monkeypatch.setenv("GATEWAY_LIVE_URL", running.url)
        monkeypatch.setenv("GATEWAY_HOME", str(tmp_path / "no-stack"))
        monkeypatch.chdir(tmp_path)
        yield running


def keep(store: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    place = store / "sha256" / digest[:2] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return digest


def logged(author: Author, store: Path, name: str, content: bytes, **fields: Any) -> Envelope:
    """Put bytes into the store, and return their event, as a worker elsewhere records it."""
    digest = keep(store, content)
    usual = {"uri": f"s3://unreachable/sha256/{digest[:2]}/{digest}", "sha256": digest, "size": len(content)}
    return author.envelope(ev.Artifact(time=author.now(), name=name, **{**usual, **fields}))


async def call(function: Callable[..., T], *arguments: Any, **more: Any) -> T:
    return await asyncio.to_thread(function, *arguments, **more)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


async def test_files_and_folders_are_listed_opened_and_downloaded(live: Live, store: Path, tmp_path: Path) -> None:
    author, dst = Author("one"), tmp_path / "dst"
    await live.publish(
        [
            author.start(),
            logged(author, store, "model/weights.pt", BIG),
            logged(author, store, "model/config.json", b'{"a": "\xc3\xa4"}', media_type="application/json"),
            logged(author, store, "empty", b""),
        ]
    )
    moves: list[tuple[str, int]] = []

    top = await call(artifacts.list, "one")
    every = await call(artifacts.list, "one", recursive=True)
    one = await call(artifacts.download, "one", "model/weights.pt", dst)
    folder = await call(artifacts.download, "one", "model", dst, progress=lambda one, at: moves.append((one.path, at)))
    whole = await call(artifacts.download, "one", "", tmp_path / "whole")
    with await call(artifacts.open, "one", "model/config.json", "r") as text:
        found = text.read()
    with await call(artifacts.open, "one", "model/weights.pt") as file:
        file.seek(1_000_000)
        part = file.read(10)

    assert [(item.path, item.is_dir, item.size) for item in top] == [
        ("empty", False, 0), ("model", True, len(BIG) + 11),
    ]  # fmt: skip
    assert [item.path for item in every] == ["empty", "model/config.json", "model/weights.pt"]
    assert (one, folder, whole) == (str(dst / "model/weights.pt"), str(dst / "model"), str(tmp_path / "whole"))
    assert files(dst) == {"model/config.json": b'{"a": "\xc3\xa4"}', "model/weights.pt": BIG}
    assert len(files(tmp_path / "whole")) == 3
    assert set(moves) == {("model/config.json", 0), ("model/config.json", 11)}  # weights.pt was there
    assert (found, part) == ('{"a": "ä"}', BIG[1_000_000:1_000_010])
    with pytest.raises(artifacts.ArtifactMissing, match="run 'one' has no artifact 'no such'"):
        await call(artifacts.download, "one", "no such", dst)
    with pytest.raises(artifacts.ApiRefused, match="no run 'two'"):
        await call(artifacts.list, "two")


async def test_a_download_continues_through_the_api(live: Live, store: Path, tmp_path: Path) -> None:
    author = Author("one")
    await live.publish([author.start(), logged(author, store, "a", BIG)])
    digest = hashlib.sha256(BIG).hexdigest()
    part = tmp_path / "dst" / f".gateway-{digest[:32]}.part"
    part.parent.mkdir()
    part.write_bytes(BIG[:2_000_000])
    moves: list[int] = []

    await call(artifacts.download, "one", "a", tmp_path / "dst", progress=lambda _, at: moves.append(at))

    assert (moves[0], moves[-1]) == (2_000_000, len(BIG))
    assert files(tmp_path / "dst") == {"a": BIG}


async def test_what_the_log_claims_is_checked_and_leads_nowhere(live: Live, store: Path, tmp_path: Path) -> None:
    author, dst = Author("one"), tmp_path / "dst"
    secret = tmp_path / "secret"
    secret.write_bytes(b"s3cret")
    hidden = hashlib.sha256(b"s3cret").hexdigest()
    hostile = ["../outside", "/outside", "a/../../outside", "C:/outside", "..\\outside", "x" * 300, "a//b"]
    await live.publish(
        [
            author.start(),
            *(logged(author, store, name, name.encode()) for name in hostile),
            logged(author, store, "good", b"good"),
            logged(author, store, "link/a", b"through a link"),
            logged(author, store, "large", b"large", size=3),
            logged(author, store, "lost", b"lost"),
            logged(author, store, "reference", b"", uri=secret.as_uri(), sha256=hidden, size=6),
            logged(author, store, "damaged", b"damaged"),
        ]
    )
    keep(store, b"damaged")
    digest = hashlib.sha256(b"damaged").hexdigest()
    (store / "sha256" / digest[:2] / digest).write_bytes(b"DAMAGED")
    digest = hashlib.sha256(b"lost").hexdigest()
    (store / "sha256" / digest[:2] / digest).unlink()
    dst.mkdir()
    (dst / "link").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(artifacts.ArtifactError) as caught:
        await call(artifacts.download, "one", "", dst)

    assert str(caught.value).startswith("12 of 13 artifacts are not downloaded: ")
    assert (files(dst), sorted(tmp_path.iterdir())) == ({"good": b"good"}, before)

    async def refused(path: str) -> str:
        with pytest.raises(artifacts.ArtifactError) as one:
            await call(artifacts.download, "one", path, dst)
        return str(one.value)

    assert "it is absolute" in await refused("/outside")
    assert "is a link or a file, not a folder" in await refused("link")
    assert "its store is damaged" in await refused("damaged")
    assert "its store is damaged" in await refused("large")
    assert "no place has the bytes of artifact 'lost': the store does not have the bytes" in await refused("lost")
    assert await refused("reference") == (
        f"artifact 'reference' is a reference, its bytes are not stored: they are at {secret.as_uri()!r} "
        "of the machine that logged it"
    )
    with await call(artifacts.open, "one", "../outside") as file:
        assert file.read() == b"../outside"
    with pytest.raises(artifacts.WrongBytes):
        await call(artifacts.open, "one", "damaged")


async def test_the_store_that_is_set_here_comes_first_and_others_follow(
    live: Live, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, own = Author("one"), tmp_path / "own"
    await live.publish([author.start(), logged(author, store, "both", b"both"), logged(author, store, "one", b"one")])
    keep(own, b"both")
    digest = hashlib.sha256(b"both").hexdigest()
    (store / "sha256" / digest[:2] / digest).unlink()
    monkeypatch.setenv("GATEWAY_ARTIFACTS", own.as_uri())

    await call(artifacts.download, "one", "", tmp_path / "dst")

    assert files(tmp_path / "dst") == {"both": b"both", "one": b"one"}


async def test_a_place_that_only_the_log_names_is_asked_without_a_token(
    live: Live, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", TOKEN)
    other = tmp_path / "other"
    digest = keep(other, b"elsewhere")
    author = Author("one")
    with running_door(tmp_path, other.as_uri()) as door:
        uri = open_store(door.url).uri(digest)
        event = ev.Artifact(time=author.now(), name="a", uri=uri, sha256=digest, size=9)
        await live.publish([author.start(), author.envelope(event)])

        with pytest.raises(artifacts.ArtifactMissing, match="the token is missing"):
            await call(artifacts.download, "one", "a", tmp_path / "dst")
        # The door to which the API itself refers gets the token that the API got.
        live.server.config.app.state.connections.artifacts = door.url  # type: ignore[union-attr]
        await call(artifacts.download, "one", "a", tmp_path / "dst")

    assert files(tmp_path / "dst") == {"a": b"elsewhere"}
