"""Uploads that a process left, as the next one or `gateway sync` finds them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.artifacts import adoption, snapshots
from gateway.client.artifacts.orphans import OrphanedUploads, UploadedOrphans
from gateway.client.artifacts.pending import PendingFolder, find_pending
from gateway.client.journal.folder import UPLOADS
from gateway.client.run.run import Run
from gateway.client.shipping import immediate
from schemas import events as ev
from tests.support.client_harness import Memory

ADDRESS = Address("kafka://memory:1", "t")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the artifact store that is set."""
    monkeypatch.setenv("GATEWAY_ARTIFACTS", (tmp_path / "store").as_uri())
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(tmp_path / "journal"))
    return tmp_path / "store"


@pytest.fixture
def left(store: Path, tmp_path: Path) -> PendingFolder:
    """A folder of pending uploads, as a process writes it."""
    return PendingFolder.create({"run_id": "run-1", "store": store.as_uri()})


def add(folder: PendingFolder, name: str, data: bytes | None, **facts: object) -> None:
    """Add an upload; its bytes are copied, or where `source` says."""
    number = folder.new_number()
    if data is not None:
        Path(folder.data_path(number)).write_bytes(data)
    event = {"time": 5, "step_name": "main", "attempt": 1, "name": name, "uri": "file:///x", "media_type": ""}
    kind = snapshots.IN_PLACE if data is None else snapshots.COPIED
    folder.write(number, {"event": event, "source": "/x", "kind": kind, "identity": [0, 0, 0, 0], **facts})


def upload(home: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch, **options: bool) -> UploadedOrphans:
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)
    return OrphanedUploads(str(home), ADDRESS, **options).upload()


def stored(memory: Memory) -> dict[str, str]:
    return {event.name: event.sha256 for event in memory.events() if isinstance(event, ev.Artifact)}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_a_dead_process_left_is_stored_once_and_its_folder_is_deleted(
    left: PendingFolder, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    add(left, "draft", b"old")
    add(left, "model", b"weights")
    add(left, "draft", b"new")
    held = upload(tmp_path / "journal", memory, monkeypatch)
    left.close()
    done = upload(tmp_path / "journal", memory, monkeypatch)
    again = upload(tmp_path / "journal", memory, monkeypatch)

    assert (held.held, held.stored, held.waiting) == ([left.path], 0, [])
    assert (done.held, done.stored, done.waiting, again.stored) == ([], 2, [], 0)
    assert stored(memory) == {"model": digest(b"weights"), "draft": digest(b"new")}
    assert {event.uri for event in memory.events() if isinstance(event, ev.Artifact)} == {
        (store / "sha256" / digest(data)[:2] / digest(data)).as_uri() for data in (b"weights", b"new")
    }
    assert not (tmp_path / "journal" / UPLOADS).exists()


def test_an_upload_waits_until_the_journal_of_its_process_is_sent(
    left: PendingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, journal = Memory(), tmp_path / "journal/run-1/producer"
    journal.mkdir(parents=True)
    add(left, "model", b"weights", journal="run-1/producer")
    left.close()
    first = upload(tmp_path / "journal", memory, monkeypatch)
    journal.rmdir()
    second = upload(tmp_path / "journal", memory, monkeypatch)

    assert (first.stored, first.waiting) == (0, [f"{left.path}: the journal of its process is not sent yet"])
    assert (second.stored, second.waiting) == (1, [])


@pytest.mark.parametrize("away", ["store", "log"])
def test_what_cannot_be_uploaded_now_stays(
    left: PendingFolder, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    memory = Memory()
    monkeypatch.setattr("gateway.client.artifacts.orphans.SEND_TIMEOUT_S", 0.05)
    add(left, "model", b"weights")
    left.close()
    if away == "store":
        store.touch()  # in the way
    else:
        memory.failures, memory.keeps_failed = 100, False
    first = upload(tmp_path / "journal", memory, monkeypatch)
    if away == "store":
        store.unlink()
    memory.failures = 0
    monkeypatch.setattr("gateway.client.artifacts.orphans.SEND_TIMEOUT_S", 30)
    second = upload(tmp_path / "journal", memory, monkeypatch)

    assert (first.stored, len(first.waiting), second.stored, second.waiting) == (0, 1, 1, [])
    assert ("make it a folder" if away == "store" else "correct GATEWAY_URL") in first.waiting[0]
    assert stored(memory) == {"model": digest(b"weights")}


def test_a_list_that_was_cut_off_and_bytes_that_are_gone(
    left: PendingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    add(left, "first", b"1")
    add(left, "gone", b"2")
    Path(left.data_path(2)).unlink()
    left.close()
    with (Path(left.path) / "list").open("ab") as file:
        file.write(b'\n{"number": 3, "event": {"na')
    done = upload(tmp_path / "journal", memory, monkeypatch)

    assert (done.stored, len(done.lost), done.waiting) == (1, 1, [])
    assert stored(memory) == {"first": digest(b"1")}
    assert find_pending(str(tmp_path / "journal")) == []


@pytest.mark.parametrize("trick", ["source", "link"])
def test_a_folder_from_elsewhere_uploads_no_file_of_this_machine(
    left: PendingFolder, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trick: str
) -> None:
    secret, memory = tmp_path / "secret", Memory()
    secret.write_bytes(b"secret")
    add(left, "model", None, source=str(secret))
    if trick == "link":
        Path(left.data_path(1)).symlink_to(secret)
    left.close()
    done = upload(tmp_path / "journal", memory, monkeypatch, is_own=False)

    assert (done.stored, len(done.lost), stored(memory), store.exists()) == (0, 1, {}, False)


def test_the_folder_above_a_copy_may_be_named(
    left: PendingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(left, "model", b"weights")
    left.close()

    assert upload(tmp_path, Memory(), monkeypatch).stored == 0
    assert upload(tmp_path, Memory(), monkeypatch, is_own=False).stored == 1


def test_files_of_other_programs_are_left_alone(
    left: PendingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "journal" / UPLOADS / "notes"
    foreign.mkdir()
    (foreign / "list").write_text("milk")
    (foreign / "owner.json").write_text("{}")
    (Path(left.path) / "mine.txt").write_text("mine")
    left.close()
    done = upload(tmp_path / "journal", Memory(), monkeypatch)

    assert (done.stored, done.waiting, done.held) == (0, [], [])
    assert (foreign / "list").read_text() == "milk"
    assert os.listdir(left.path) == ["mine.txt"]  # noqa: PTH208 -- names alone


def test_a_folder_of_a_newer_release_and_one_of_another_host_are_named(
    left: PendingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(left, "model", b"weights")
    left.close()
    owner = Path(left.path) / "owner.json"
    facts = json.loads(owner.read_text())
    monkeypatch.setattr("gateway.client.journal.hosts.LOCAL", frozenset())
    owner.write_text(json.dumps({**facts, "format": 2}))
    newer = upload(tmp_path / "journal", Memory(), monkeypatch).waiting
    owner.write_text(json.dumps({**facts, "host": "far", "boot": "other"}))
    elsewhere = upload(tmp_path / "journal", Memory(), monkeypatch).waiting
    ended = upload(tmp_path / "journal", Memory(), monkeypatch, other_hosts=True)

    assert "newer than this release" in newer[0]
    assert "on host far" in elsewhere[0]
    assert (ended.stored, ended.waiting) == (1, [])


def test_the_next_process_uploads_only_what_goes_to_its_address(
    left: PendingFolder, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)
    add(left, "ours", b"1", address=ADDRESS.url, topic=ADDRESS.topic)
    add(left, "theirs", b"2", address="kafka://other:1", topic="t")
    left.close()
    thread = adoption.start_adoption(ADDRESS)
    assert thread is not None
    thread.join()
    rest = PendingFolder.adopt(left.path)

    assert stored(memory) == {"ours": digest(b"1")}
    assert rest is not None
    assert [facts["event"]["name"] for _, facts in rest.waiting()] == ["theirs"]
    rest.close()
    assert notices.counts == {}


def test_a_forked_child_uploads_its_own_and_leaves_those_of_its_parent(
    run: Run, memory: Memory, store: Path, tmp_path: Path
) -> None:
    store.touch()  # in the way: the store takes nothing
    (tmp_path / "model").write_bytes(b"weights")
    run.log_artifact(tmp_path / "model")
    (folder,) = find_pending(str(tmp_path / "journal"))
    child = os.fork()
    if not child:
        run.after_fork()
        run.log_artifact(tmp_path / "model", "of the child")
        os._exit(len(find_pending(str(tmp_path / "journal"))))
    _, status = os.waitpid(child, 0)
    store.unlink()
    run.finish()

    assert os.waitstatus_to_exitcode(status) == 2
    assert folder not in find_pending(str(tmp_path / "journal"))
    assert len(find_pending(str(tmp_path / "journal"))) == 1  # that of the child, which was killed
    assert stored(memory) == {"model": digest(b"weights")}
