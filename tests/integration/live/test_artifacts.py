"""The artifacts of a run through the query API: a tree of folders, and bytes of the store and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas import events as ev
from schemas.wire import Envelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import Author


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "a store"


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path, store: Path) -> AsyncIterator[Live]:
    settings = settings_for(kafka, topic, database, tmp_path)
    async with serving(settings.model_copy(update={"artifacts": store.as_uri()})) as running:
        yield running


def logged(author: Author, name: str, **fields: Any) -> Envelope:
    """Return the event of an artifact; without a URI it is one of a store."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    usual = {"uri": f"s3://bucket/sha256/{digest[:2]}/{digest}", "sha256": digest, "size": len(name)}
    return author.envelope(ev.Artifact(time=author.now(), name=name, **{**usual, **fields}))


def keep(store: Path, content: bytes) -> str:
    """Put bytes into the store, and return their digest."""
    digest = hashlib.sha256(content).hexdigest()
    place = store / "sha256" / digest[:2] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return digest


async def listed(live: Live, **parameters: Any) -> list[tuple[str, bool, int | None]]:
    page = await live.json("/v1/runs/one/artifacts", **parameters)
    return [(item["path"], item["is_dir"], item["size"]) for item in page["artifacts"]]


async def test_artifacts_are_a_tree_of_folders(live: Live) -> None:
    author = Author("one")
    names = ["b.txt", "model/weights.pt", "model/config.json", "model/parts/1", "model.pkl", "/etc/passwd", "x//y"]
    await live.publish([author.start(), *(logged(author, name) for name in names)])

    assert await listed(live) == [
        ("/etc", True, 11), ("b.txt", False, 5), ("model", True, 46), ("model.pkl", False, 9), ("x", True, 4),
    ]  # fmt: skip
    assert await listed(live, path="model") == await listed(live, path="model/")
    assert await listed(live, path="model") == [
        ("model/config.json", False, 17), ("model/parts", True, 13), ("model/weights.pt", False, 16),
    ]  # fmt: skip
    assert await listed(live, path="/etc") == [("/etc/passwd", False, 11)]
    assert await listed(live, path="x") == [("x//y", False, 4)]
    assert await listed(live, path="no such") == []
    assert [path for path, _, _ in await listed(live, recursive=1)] == sorted(names)
    assert await listed(live, recursive=1, path="model/parts/1") == [("model/parts/1", False, 13)]
    assert await listed(live, recursive=1, path="model/parts") == [("model/parts/1", False, 13)]
    # `%` and `_` are letters like any other, and a prefix is no folder.
    assert await listed(live, recursive=1, path="mode") == await listed(live, recursive=1, path="%") == []

    # A size that is not known is none, whichever list has it; a folder has that of the others.
    await live.publish([logged(author, name, size=None) for name in ("u", "unknown/a", "some/a")])
    await live.publish([logged(author, "some/b")])
    sizes = {path: size for path, _, size in await listed(live)}
    assert (sizes["u"], sizes["unknown"], sizes["some"]) == (None, None, 6)
    assert await listed(live, recursive=1, path="u") == [("u", False, None)]

    # Pages meet without a gap, also where a file and a folder have the same path.
    await live.publish(
        [logged(author, "model"), logged(author, "model", size=2**62), logged(author, "q/a", size=2**62)]
    )
    for recursive in (0, 1):
        whole = await listed(live, recursive=recursive)
        pages, token = list[Any](), None
        while not pages or token:
            page = await live.json("/v1/runs/one/artifacts", recursive=recursive, limit=1, page_token=token or "f")
            pages, token = [*pages, *page["artifacts"]], page["next_page_token"]
        assert [(item["path"], item["is_dir"], item["size"]) for item in pages] == whole
    assert (await live.get("/v1/runs/one/artifacts", page_token="x")).status_code == 422
    assert (await live.get("/v1/runs/one/artifacts", path="a\x00b")).status_code == 422
    assert (await live.get("/v1/runs/two/artifacts")).status_code == 404


async def test_the_newest_record_of_a_path_counts_and_what_a_step_read_is_not_listed(live: Live) -> None:
    author = Author("one")
    await live.publish(
        [
            author.start(),
            logged(author, "a", step_name="train", size=1),
            logged(author, "a", step_name="test", attempt=2, size=2),
            logged(author, "a", size=3),
            logged(author, "input.csv", stage="get"),
            logged(author, "gone"),
            author.envelope(ev.Deleted(time=author.now(), what="artifact", name="gone")),
        ]
    )

    (item,) = (await live.json("/v1/runs/one/artifacts"))["artifacts"]
    assert (item["path"], item["size"], item["step_name"], item["stored"]) == ("a", 3, "main", True)


async def test_stored_bytes_are_returned_whole_and_in_parts(live: Live, store: Path) -> None:
    author, content = Author("one"), bytes(range(256)) * 1_000
    await live.publish([author.start(), logged(author, "däta/x y.bin", sha256=keep(store, content), uri="")])
    digest = hashlib.sha256(content).hexdigest()
    await live.publish([logged(author, "däta/x y.bin", sha256=digest, uri=f"{store.as_uri()}/sha256/x/{digest}")])
    path = "/v1/runs/one/artifacts/content"

    answer = await live.get(path, path="däta/x y.bin")
    part = await live.http.get(path, params={"path": "däta/x y.bin"}, headers={"Range": "bytes=255990-"})

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, content, f'"{digest}"')
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''x%20y.bin"
    assert (part.status_code, part.content) == (206, content[255_990:])
    assert (await live.http.head(path, params={"path": "däta/x y.bin"})).status_code == 200


async def test_nothing_but_the_store_is_read(live: Live, store: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    digest = hashlib.sha256(b"s3cret").hexdigest()
    away = "0" * 64
    (store / "sha256" / "00").mkdir(parents=True)
    (store / "sha256" / "00" / away).symlink_to(secret)
    author = Author("one")
    await live.publish(
        [
            author.start(),
            logged(author, "reference", uri=secret.as_uri(), sha256=digest),
            logged(author, "named as a store", uri=f"{tmp_path.as_uri()}/secret/{digest}", sha256=digest),
            logged(author, "link", uri=f"file:///x/{away}", sha256=away),
            logged(author, "odd", uri=f"http://[/{digest}", sha256=digest),
        ]
    )

    async def asked(name: str) -> tuple[int, str]:
        answer = await live.get("/v1/runs/one/artifacts/content", path=name)
        return answer.status_code, answer.json()["error"]

    assert await asked("reference") == (409, "artifact 'reference' is a reference, its bytes are not stored")
    assert (await asked("named as a store"))[0] == 404
    assert await asked("link") == (404, "what the store has for 'link' is no file")
    assert (await asked("odd"))[0] == 409
    assert (await asked("no such"))[0] == 404
    assert (await live.get("/v1/runs/two/artifacts/content", path="a")).status_code == 404


async def test_bytes_of_other_stores_are_left_to_the_client(live: Live) -> None:
    author = Author("one")
    await live.publish([author.start(), logged(author, "a")])
    digest = hashlib.sha256(b"a").hexdigest()
    connections = live.server.config.app.state.connections  # type: ignore[union-attr]

    async def asked(store: str) -> tuple[int, str]:
        connections.artifacts = store
        answer = await live.get("/v1/runs/one/artifacts/content", path="a")
        return answer.status_code, answer.headers.get("location", "") or answer.json()["error"]

    assert await asked("https://door.example/gw/") == (307, f"https://door.example/gw/v1/artifacts/sha256/{digest}")
    assert await asked("s3://bucket/x") == (409, "the store s3:// is not read here")
    assert (await asked(""))[0] == 409
