"""The artifact door over a real socket: bytes in and out, ranges, refusals, and senders that go away."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from gateway.client.artifacts.address import open_store
from gateway.client.artifacts.store import ArtifactError, StoreUnavailable
from gateway.server import app
from gateway.server.artifacts import receiving, storage
from gateway.server.artifacts.storage import open_storage
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings
from tests.support.artifact_door import TOKEN, Door, running_door
from tests.support.process_tree import until
from tests.support.server_process import request

CONTENT = bytes(range(256)) * 10_000  # 2.56 MB: several pieces
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture(scope="module")
def folder(session_folder: Path) -> Path:
    return session_folder / "door store"


@pytest.fixture(scope="module")
def door(folder: Path) -> Iterator[Door]:
    with running_door(folder.parent, folder.as_uri(), artifact_max_gb=0.01) as one:
        yield one


@pytest.fixture(autouse=True)
def empty(folder: Path) -> None:
    """Start each test with an empty store."""
    for path in folder.rglob("*"):
        if not path.is_dir():
            path.unlink()


def ask(
    door: Door, method: str, digest: str = DIGEST, body: bytes | None = None, **headers: str
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request with the token, unless another is given."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    auth = {"Authorization": f"Bearer {TOKEN}"}
    return request(door.port, method, f"/v1/artifacts/sha256/{digest}", body, {**auth, **named})


def problem(answer: tuple[int, Mapping[str, str], bytes]) -> tuple[int, str]:
    found = json.loads(answer[2])
    assert found["next"]
    return answer[0], found["error"]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def keep(folder: Path, content: bytes = CONTENT) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    place = folder / "sha256" / digest[:2] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_bytes_go_in_once_and_come_out_as_they_were(door: Door, folder: Path, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()

    assert ask(door, "HEAD", digest)[0] == 404
    first, second = ask(door, "PUT", digest, content), ask(door, "PUT", digest, content)
    status, headers, body = ask(door, "GET", digest)

    facts = {"sha256": digest, "size": len(content)}
    assert (first[0], json.loads(first[2])) == (201, {**facts, "stored": True})
    assert (second[0], json.loads(second[2])) == (200, {**facts, "stored": False})
    assert files(folder) == [f"sha256/{digest[:2]}/{digest}"]
    assert (status, body == content, headers["content-length"]) == (200, True, str(len(content)))
    assert headers["etag"] == f'"{digest}"'
    assert ask(door, "HEAD", digest)[0::2] == (200, b"")
    # What it holds must never run as a page of this server.
    assert (headers["content-type"], headers["content-disposition"]) == ("application/octet-stream", "attachment")
    assert (headers["x-content-type-options"], headers["content-security-policy"][:7]) == ("nosniff", "sandbox")


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=1000-", 206, 1_000, len(CONTENT)),
        ("bytes=-10", 206, len(CONTENT) - 10, len(CONTENT)),
        ("bytes=100-99999999", 206, 100, len(CONTENT)),
        ("bytes=1500000-2500000", 206, 1_500_000, 2_500_001),
        ("bytes=0-1,5-6", 200, 0, len(CONTENT)),
        ("chunks=1-2", 200, 0, len(CONTENT)),
    ],
)
def test_parts(door: Door, folder: Path, asked: str, status: int, start: int, end: int) -> None:
    keep(folder)

    found, headers, body = ask(door, "GET", Range=asked)
    head = ask(door, "HEAD", Range=asked)

    assert (found, body == CONTENT[start:end]) == (status, True)
    assert headers.get("content-range") == (f"bytes {start}-{end - 1}/{len(CONTENT)}" if status == 206 else None)
    assert (head[0], head[1]["content-length"]) == (status, str(end - start))


def test_a_range_without_a_byte_and_conditions(door: Door, folder: Path) -> None:
    keep(folder)

    beyond = ask(door, "GET", Range=f"bytes={len(CONTENT)}-")

    assert (problem(beyond)[0], beyond[1]["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert ask(door, "GET", Range="bytes=0-0", If_Range=f'"{DIGEST}"')[0] == 206
    assert ask(door, "GET", Range="bytes=0-0", If_Range='"older"')[0] == 200
    assert ask(door, "GET", If_None_Match=f'"x", "{DIGEST}"')[0::2] == (304, b"")


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic x"])
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
def test_without_the_token_nothing_is_told_or_stored(door: Door, folder: Path, token: str, method: str) -> None:
    if method != "PUT":
        keep(folder)

    status, headers, _ = ask(door, method, DIGEST, CONTENT if method == "PUT" else None, Authorization=token)

    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert files(folder) == ([] if method == "PUT" else [f"sha256/{DIGEST[:2]}/{DIGEST}"])


@pytest.mark.parametrize(
    "digest", ["abc", DIGEST.upper(), DIGEST + "0", "..%2f..%2fetc%2fpasswd", "0" * 63 + "g", "%00" * 64]
)
def test_an_address_that_is_no_digest_is_refused(door: Door, folder: Path, digest: str) -> None:
    for method, body in (("GET", None), ("PUT", b"x")):
        status, _, answer = ask(door, method, digest, body)
        assert status in (400, 404), unquote(digest)
        assert json.loads(answer)["next"]
    assert files(folder) == []


def test_other_bytes_are_refused_and_nothing_is_stored(door: Door, folder: Path) -> None:
    for wrong in (b"x", b"", CONTENT[:-1] + b"x"):
        assert problem(ask(door, "PUT", DIGEST, wrong)) == (422, f"the bytes do not have the SHA-256 {DIGEST}")
        assert files(folder) == []
    assert ask(door, "PUT", DIGEST, CONTENT)[0] == 201


def test_bytes_beyond_the_limit_are_refused_before_they_are_read(door: Door, folder: Path) -> None:
    limit = "an artifact has at most 10,000,000 bytes here"

    assert problem(ask(door, "PUT", OTHER, None, Content_Length="10000001")) == (413, limit)
    assert problem(ask(door, "PUT", OTHER, None, Content_Length="9" * 19)) == (413, limit)
    whole = "bytes 0-20000000/20000001"
    assert problem(ask(door, "PUT", OTHER, None, Content_Length="20000001", Content_Range=whole)) == (413, limit)
    assert files(folder) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Encoding": "gzip"}, 415),
        ({"Transfer_Encoding": "chunked"}, 411),
        ({"Content_Range": "bytes 0-0/5"}, 400),
        ({"Content_Range": "bytes 3-4/4"}, 400),
        ({"Content_Range": "bytes */5"}, 400),
        ({"Content_Range": "5"}, 400),
    ],
)
def test_headers_that_are_not_understood(door: Door, folder: Path, headers: dict[str, str], status: int) -> None:
    body = b"1\r\nx\r\n0\r\n\r\n" if "Transfer_Encoding" in headers else b"other"

    assert problem(ask(door, "PUT", OTHER, body, **headers))[0] == status
    assert files(folder) == []


def send_part(door: Door, count: int, *, start: int = 0) -> socket.socket:
    """Announce the rest of CONTENT from `start` on, send `count` bytes of it, and return the open connection."""
    head = (
        f"PUT /v1/artifacts/sha256/{DIGEST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(CONTENT) - start}\r\n"
    )
    if start:
        head += f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n"
    connection = socket.create_connection(("127.0.0.1", door.port), 30)
    connection.sendall(head.encode() + b"\r\n" + CONTENT[start : start + count])
    return connection


def kept(door: Door) -> int:
    """Return how many bytes of an interrupted upload the door says that it keeps."""
    status, headers, _ = ask(door, "HEAD")
    assert status == 404
    return int(headers.get("upload-offset", "0"))


def test_uploads_that_use_all_their_memory_leave_no_event_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "UPLOADS", receiving.HELD_BYTES)
    monkeypatch.setattr(app, "IN_FLIGHT", receiving.HELD_BYTES)
    with running_door(tmp_path, (tmp_path / "store").as_uri()) as door, send_part(door, 1_500_000):
        until(lambda: kept(door) >= 1_048_576, "the upload is under way")
        assert problem(ask(door, "PUT", OTHER, b"other")) == (
            503,
            "the uploads under way use all the memory this server may use for them",
        )
        event = {"key": "run", "headers": {}, "value": "{}"}
        answer = request(
            door.port,
            "POST",
            "/v1/events",
            json.dumps({"records": [event]}).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
    assert "use all the memory" not in problem(answer)[1]


def test_a_sender_that_goes_away_leaves_nothing_to_see_and_may_continue(door: Door, folder: Path) -> None:
    with send_part(door, 1_500_000):
        until(lambda: kept(door) >= 1_048_576, "a piece is written")
    assert ask(door, "GET")[0] == 404

    offset = kept(door)
    assert 0 < offset < len(CONTENT)
    rest = f"bytes {offset}-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert ask(door, "PUT", DIGEST, CONTENT[offset:], Content_Range=rest)[0] == 201
    assert (files(folder), keep(folder).read_bytes() == CONTENT) == ([f"sha256/{DIGEST[:2]}/{DIGEST}"], True)


def test_a_sender_that_begins_again_is_not_asked_to_know_what_is_kept(door: Door, folder: Path) -> None:
    with send_part(door, 1_500_000):
        until(lambda: kept(door) >= 1_048_576, "a piece is written")

    assert ask(door, "PUT", DIGEST, CONTENT)[0] == 201
    assert ask(door, "GET")[2] == CONTENT
    assert files(folder) == [f"sha256/{DIGEST[:2]}/{DIGEST}"]


def test_a_rest_without_a_beginning_is_asked_for_the_whole(door: Door, folder: Path) -> None:
    rest = f"bytes 10-{len(CONTENT) - 1}/{len(CONTENT)}"

    answer = ask(door, "PUT", DIGEST, CONTENT[10:], Content_Range=rest)

    assert (problem(answer)[0], answer[1]["upload-offset"]) == (409, "0")


def test_a_damaged_beginning_is_dropped_and_the_whole_asked_for(door: Door, folder: Path) -> None:
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "partial" / DIGEST).write_bytes(b"damaged")
    rest = f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"

    answer = ask(door, "PUT", DIGEST, CONTENT[7:], Content_Range=rest)

    assert (problem(answer)[0], answer[1]["upload-offset"], files(folder)) == (409, "0", [])
    assert ask(door, "PUT", DIGEST, CONTENT)[0] == 201


def test_two_senders_of_the_same_bytes_do_not_disturb_each_other(door: Door, folder: Path) -> None:
    with send_part(door, 1_500_000) as first:
        until(lambda: kept(door) >= 1_048_576, "a piece is written")
        assert ask(door, "PUT", DIGEST, CONTENT)[0] == 201
        first.sendall(CONTENT[1_500_000:])
        assert b" 201 " in first.recv(4_096)

    assert (ask(door, "GET")[2] == CONTENT, files(folder)) == (True, [f"sha256/{DIGEST[:2]}/{DIGEST}"])


def test_a_sender_that_stalls_is_sent_away(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "IDLE_S", 0.2)

    with send_part(door, 10) as connection:
        assert b" 408 " in connection.recv(4_096)


def test_a_disk_without_room_is_named_before_a_byte_is_read(
    door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SPARE_BYTES", 2**62)

    status, error = problem(ask(door, "PUT", DIGEST, CONTENT))

    assert (status, error) == (507, "the artifact store is full (the disk has no room for it)")
    assert files(folder) == []


def test_a_disk_that_fills_up_meanwhile_is_named(door: Door, folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
    try:
        answer = ask(door, "PUT", DIGEST, CONTENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert problem(answer) == (507, "the artifact store is full (File too large)")
    assert ask(door, "GET")[0] == 404
    assert ask(door, "PUT", DIGEST, CONTENT)[0] == 201


def test_bytes_that_were_cut_in_the_store_are_replaced(door: Door, folder: Path) -> None:
    place = keep(folder)
    os.truncate(place, 100)

    assert ask(door, "PUT", DIGEST, CONTENT)[0] == 201
    assert place.read_bytes() == CONTENT


def test_an_interrupted_upload_that_nobody_continues_is_deleted(folder: Path) -> None:
    found = open_storage(Settings(home=folder, artifacts=folder.as_uri()))
    assert found is not None
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    old, new = folder / "partial" / DIGEST, folder / "partial" / OTHER
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, times=(0, time.time() - 8 * 86_400))

    assert (found.remove_stale(), old.exists(), new.exists()) == (1, False, True)


def test_the_client_stores_and_reads_through_it(door: Door, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    store = open_store(door.url, token=TOKEN)

    with send_part(door, 1_500_000):
        until(lambda: store.partial(DIGEST) >= 1_048_576, "a piece is written")
    offsets: list[int] = []
    assert store.put_file(str(source), DIGEST, progress=offsets.append)
    assert offsets[0] > 1_048_576
    assert not store.put_file(str(source), DIGEST)
    with store.open(DIGEST, 2_000_000) as file:
        assert file.read(100) == CONTENT[2_000_000:2_000_100]
    with pytest.raises(StoreUnavailable, match="it refuses the token: set GATEWAY_TOKEN"):
        open_store(door.url, token="wrong").put_file(str(source), OTHER)
    # Other runs may have the same bytes, so the door deletes nothing.
    with pytest.raises(ArtifactError, match="a gateway server deletes no bytes"):
        store.delete(DIGEST)
    assert store.exists(DIGEST)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:8701", "https://door.example"])
def test_a_server_without_a_store_of_its_own_says_so(tmp_path: Path, url: str) -> None:
    with running_door(tmp_path, url) as door:
        status, error = problem(ask(door, "GET"))

    assert (status, error) == (501, "this server has no artifact store of its own")


@pytest.mark.parametrize("url", ["/a/folder", "nosuch://x", "file://host/x"])
def test_a_store_that_cannot_be_used_stops_the_server(tmp_path: Path, url: str) -> None:
    settings: Any = Settings(home=tmp_path, artifacts=url)

    with pytest.raises(BadSettings, match="setting artifacts: "):
        open_storage(settings)


def test_a_page_of_another_origin_may_not_use_a_door_without_a_token(tmp_path: Path, folder: Path) -> None:
    keep(folder)
    with running_door(tmp_path, folder.as_uri(), token="") as door:
        for method, body in (("GET", None), ("PUT", b"x")):
            status = ask(door, method, DIGEST, body, Authorization="", Origin="https://evil.example")[0]
            assert status == 403
        assert ask(door, "GET", Authorization="")[0] == 200
