from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.artifacts import snapshots
from gateway.client.artifacts.orphans import OrphanedUploads, UploadedOrphans
from gateway.client.artifacts.pending import find_pending
from gateway.client.journal.folder import UPLOADS
from gateway.client.run.artifacts import LoggedArtifact
from gateway.client.run.run import Run
from gateway.client.shipping import immediate
from schemas import events as ev
from tests.support.client_harness import Memory, wait_for


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the artifact store that is set."""
    folder = tmp_path / "store"
    monkeypatch.setenv("GATEWAY_ARTIFACTS", folder.as_uri())
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GATEWAY_JOURNAL_DIR", raising=False)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that training writes."""
    path = tmp_path / "work/model.pt"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def home(tmp_path: Path) -> str:
    """The journal home."""
    return str(tmp_path / "home/journal")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored_at(store: Path, data: bytes) -> Path:
    return store / "sha256" / digest(data)[:2] / digest(data)


def artifacts(memory: Memory) -> list[ev.Artifact]:
    return [event for event in memory.events() if isinstance(event, ev.Artifact)]


def newest(memory: Memory) -> dict[str, ev.Artifact]:
    """Return the artifacts as readers see them: the last record of each name."""
    return {event.name: event for event in artifacts(memory)}


def logged(one: LoggedArtifact | None) -> LoggedArtifact:
    assert one is not None
    return one


def test_bytes_are_stored_and_the_run_names_their_place(
    run: Run, memory: Memory, store: Path, model: Path, home: str
) -> None:
    one = logged(run.log_artifact(model, artifact_path="model"))
    run.finish()

    first, last = artifacts(memory)
    assert (first.name, first.uri, first.sha256) == ("model/model.pt", model.as_uri(), "")
    assert (last.name, last.uri) == ("model/model.pt", stored_at(store, b"weights").as_uri())
    assert (last.size, last.sha256, last.time) == (7, digest(b"weights"), first.time)
    assert stored_at(store, b"weights").read_bytes() == b"weights"
    assert (one.name, one.uri, one.store, one.is_stored) == ("model/model.pt", last.uri, store.as_uri(), True)
    assert memory.kinds()[-1] == "producer_closed"
    assert find_pending(home) == []
    assert notices.counts == {}


def test_without_a_store_the_artifact_is_a_reference(run: Run, memory: Memory, model: Path) -> None:
    one = logged(run.log_artifact(model))
    run.log_artifacts(model.parent, "all")
    run.finish()

    assert (one.store, one.uri, repr(one)) == ("", model.as_uri(), "<artifact 'model.pt': reference>")
    assert {name: found.uri for name, found in newest(memory).items()} == {
        "model.pt": model.as_uri(),
        "all/model.pt": model.as_uri(),
    }


def test_a_file_that_is_overwritten_or_deleted_after_the_call_is_stored_as_it_was(
    run: Run, memory: Memory, store: Path, model: Path
) -> None:
    (model.parent / "gone.txt").write_bytes(b"gone")
    run.log_artifacts(model.parent)
    model.write_bytes(b"next epoch")
    (model.parent / "gone.txt").unlink()
    run.finish()

    assert {name: found.sha256 for name, found in newest(memory).items()} == {
        "model.pt": digest(b"weights"),
        "gone.txt": digest(b"gone"),
    }
    assert notices.counts == {}


def test_a_large_file_is_linked_and_what_is_written_into_it_is_stored_and_reported(
    run: Run, memory: Memory, store: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.run.stored_artifacts.COPY_BYTES", 3)
    monkeypatch.setattr(snapshots, "FICLONE", 0)  # as on a file system without clones
    store.touch()  # in the way: the store takes nothing
    (model.parent / "replaced.pt").write_bytes(b"first version")
    run.log_artifacts(model.parent)
    model.write_bytes(b"WEIGHTS")
    (model.parent / "new").write_bytes(b"second version")
    (model.parent / "new").rename(model.parent / "replaced.pt")
    wait_for(lambda: "artifact-store" in notices.counts)
    store.unlink()
    run.finish()

    assert {name: found.sha256 for name, found in newest(memory).items()} == {
        "model.pt": digest(b"WEIGHTS"),
        "replaced.pt": digest(b"first version"),
    }
    assert notices.counts["artifact-changed"] == 1


def test_a_large_file_that_cannot_be_linked_and_vanishes_stays_a_reference(
    run: Run, memory: Memory, store: Path, model: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr("gateway.client.run.stored_artifacts.COPY_BYTES", 3)
    monkeypatch.setattr(snapshots, "FICLONE", 0)
    monkeypatch.setattr(os, "link", refuse)
    store.touch()  # in the way: the store takes nothing
    (model.parent / "stays.pt").write_bytes(b"stays")
    run.log_artifacts(model.parent)
    wait_for(lambda: "artifact-store" in notices.counts)
    model.unlink()
    store.unlink()
    run.finish()

    assert {name: found.sha256 for name, found in newest(memory).items()} == {
        "model.pt": "",
        "stays.pt": digest(b"stays"),
    }
    assert notices.counts["artifact"] == 1
    assert find_pending(home) == []


def test_links_to_large_files_that_training_deletes_do_not_fill_the_disk(
    run: Run, memory: Memory, store: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.run.stored_artifacts.COPY_BYTES", 3)
    monkeypatch.setattr(snapshots, "FICLONE", 0)
    monkeypatch.setattr("gateway.client.artifacts.uploads.free_bytes", lambda _: 16)
    store.touch()  # in the way: the store takes nothing
    for epoch in range(4):  # 9 bytes each, of 16 that are free
        checkpoint = model.parent / f"{epoch}.pt"
        checkpoint.write_bytes(b"weights %d" % epoch)
        run.log_artifact(checkpoint)
        checkpoint.unlink()
    wait_for(lambda: "artifact-store" in notices.counts)
    store.unlink()
    run.finish()

    assert [newest(memory)[f"{epoch}.pt"].sha256 for epoch in range(4)] == [digest(b"weights 0"), "", "", ""]


def test_bytes_are_stored_where_no_folder_can_be_written_for_what_waits(
    run: Run,
    memory: Memory,
    store: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(model / "below a file"))
    run.log_artifact(model)
    run.finish()

    assert newest(memory)["model.pt"].sha256 == digest(b"weights")
    assert notices.counts["artifact-home"] == 1
    assert "set GATEWAY_JOURNAL_DIR to a folder that can be written" in capsys.readouterr().err


def test_the_same_bytes_are_stored_once(run: Run, memory: Memory, store: Path, model: Path) -> None:
    for number in range(5):
        run.log_artifact(model, f"epoch-{number}.pt")
    run.finish()

    assert len({found.uri for found in newest(memory).values()}) == 1
    assert [path for path in store.rglob("*") if path.is_file()] == [stored_at(store, b"weights")]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a/../../b", "a/b"),
        ("C:\\models\\w.pt", "C/models/w.pt"),
        ("models\\w.pt", "models/w.pt"),
        ("nul\x00byte", "nul_byte"),
        ("line\nfeed\x1b[2J", "line_feed_[2J"),
        ("..", "unnamed"),
        ("/", "unnamed"),
        ("x" * 4_000 + ".pt", "x" * 252 + ".pt"),
        ("deep/" * 800 + "w.pt", "deep/" * 204 + "w.pt"),
        ("a:b", "a/b"),
        ("é" * 4_000, "é" * 127),
    ],
)
def test_a_hostile_name_is_kept_as_a_path_inside_the_run(
    run: Run, memory: Memory, store: Path, model: Path, name: str, kept: str
) -> None:
    one = logged(run.log_artifact(model, name))
    run.finish()

    assert one.name == kept
    assert {found.name: found.sha256 for found in artifacts(memory)} == {kept: digest(b"weights")}
    assert notices.counts == {"artifact-name": 1}


@pytest.mark.parametrize("name", ["a b/ü.pt", "./model.pt", "...", "loss:train"])
def test_an_ordinary_name_gives_no_warning(run: Run, store: Path, model: Path, name: str) -> None:
    one = logged(run.log_artifact(model, name))

    assert one.name == name.removeprefix("./")
    assert notices.counts == {}


def test_a_folder_is_stored_as_its_files_without_what_leads_out_of_it(
    run: Run, memory: Memory, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    folder = tmp_path / "checkpoint"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/x.bin").write_bytes(b"x")
    (folder / "empty").touch()
    (folder / "latest").symlink_to("deep/er/x.bin")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to("loop")
    (folder / "circle").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(folder)
        bound.bind("socket")  # the path of a socket is short
    (folder / "null").symlink_to("/dev/zero")
    run.log_artifacts(folder, "ckpt")
    run.log_artifact(folder)
    run.finish()

    assert {name: found.sha256 for name, found in newest(memory).items()} == {
        f"{above}/{name}": digest(data)
        for above in ("ckpt", "checkpoint")
        for name, data in [("deep/er/x.bin", b"x"), ("empty", b""), ("latest", b"x")]
    }
    assert notices.counts == {"artifact-passed-over": 12}


def test_a_folder_without_files_is_reported(run: Run, memory: Memory, store: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint/deep").mkdir(parents=True)

    assert run.log_artifacts(tmp_path / "checkpoint") == []
    assert notices.counts == {"artifact-empty": 1}


def test_threads_that_log_their_first_artifact_at_once_share_the_uploads(
    run: Run, memory: Memory, store: Path, model: Path, home: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: run.log_artifact(model, f"{number}.pt"), range(40)))
    run.finish()

    assert {found.sha256 for found in newest(memory).values()} == {digest(b"weights")}
    assert len(newest(memory)) == 40
    assert find_pending(home) == []


@pytest.mark.parametrize("what", ["missing", "pipe", "device", "link in a circle", "no folder"])
def test_what_cannot_be_read_is_a_reference_and_reported_once(
    run: Run, memory: Memory, store: Path, tmp_path: Path, what: str
) -> None:
    path = Path("/dev/zero") if what == "device" else tmp_path / "it"
    if what == "pipe":
        os.mkfifo(path)
    if what == "link in a circle":
        path.symlink_to(path)
    if what == "no folder":
        assert run.log_artifacts(path) is None
    else:
        assert logged(run.log_artifact(path)).store == ""
    run.finish()

    assert [(found.uri, found.sha256) for found in artifacts(memory)] == [(path.as_uri(), "")] * (what != "no folder")
    assert sum(notices.counts.values()) == 1


def test_an_address_that_cannot_be_used_leaves_references(
    run: Run, memory: Memory, store: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "two words")
    one = logged(run.log_artifact(model))
    run.finish()

    assert (one.store, artifacts(memory)[-1].sha256) == ("", digest(b"weights"))
    assert notices.counts == {"artifact-store": 1}


def test_a_newer_file_of_a_name_and_a_deleted_artifact_are_not_uploaded(
    run: Run, memory: Memory, store: Path, model: Path
) -> None:
    store.touch()  # in the way: the store takes nothing
    run.log_artifact(model)
    wait_for(lambda: "artifact-store" in notices.counts)
    run.log_artifact(model, "draft")
    model.write_bytes(b"next epoch")
    run.log_artifact(model)
    run.delete(artifact="draft")
    store.unlink()
    run.finish()

    assert [path for path in store.rglob("*") if path.is_file()] == [stored_at(store, b"next epoch")]
    assert newest(memory)["model.pt"].sha256 == digest(b"next epoch")
    assert newest(memory)["draft"].sha256 == ""


def test_a_newer_file_and_a_deletion_count_while_an_older_one_is_being_uploaded(
    run: Run, memory: Memory, store: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()

    class Slow(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        protocol = "slow"
        cachable = False

        def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
            if mode == "wb":
                began.set()
                assert go_on.wait(10)
            return super()._open(path, mode, **options)

    fsspec.register_implementation("slow", Slow, clobber=True)
    monkeypatch.setenv("GATEWAY_ARTIFACTS", "slow://bucket")
    first = logged(run.log_artifact(model))
    run.log_artifact(model, "draft")
    assert began.wait(10)
    model.write_bytes(b"next epoch")
    second = logged(run.log_artifact(model))
    run.delete(artifact="draft")
    go_on.set()
    run.finish()

    assert newest(memory)["model.pt"].sha256 == digest(b"next epoch")
    assert newest(memory)["draft"].sha256 == ""
    assert (first.is_stored, second.is_stored) == (False, True)


def test_a_store_that_is_away_delays_no_end_and_the_next_process_uploads(
    run: Run,
    memory: Memory,
    store: Path,
    model: Path,
    home: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.touch()  # in the way: the store takes nothing
    run.log_artifact(model)
    run.log_artifact(model, "again")
    model.unlink()
    run.finish()
    lines = capsys.readouterr().err.splitlines()
    folders = find_pending(home)
    copies = [_copy_of(folder, tmp) for folder in folders for tmp in (model.parent / "1", model.parent / "2")]
    monkeypatch.setenv("GATEWAY_ARTIFACTS", f"{store.as_uri()}-that-works")
    first, second = (_upload_orphans(copy, memory, monkeypatch) for copy in copies)

    assert memory.kinds()[-2:] == ["artifact", "producer_closed"]
    assert len(lines) == 2
    assert "make it a folder that can be read and written. Bytes of artifacts wait until it takes them" in lines[0]
    assert f"2 artifacts (model.pt, again) are not stored yet (artifact store {store}" in lines[1]
    assert f"and wait in {folders[0]}: `gateway sync`" in lines[1]
    assert (first.stored, second.stored) == (2, 2)
    assert {name: found.sha256 for name, found in newest(memory).items()} == {
        "model.pt": digest(b"weights"),
        "again": digest(b"weights"),
    }
    assert len(artifacts(memory)) == 4  # two references, two that are stored: the second time gave the same records
    assert [find_pending(copy) for copy in copies] == [[], []]
    store.unlink()
    run.finish()  # the thread tries again as long as the process lives
    assert find_pending(home) == []


def _copy_of(folder: str, above: Path) -> str:
    shutil.copytree(Path(folder).parent, above / UPLOADS)
    return str(above)


def _upload_orphans(home: str, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> UploadedOrphans:
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)
    return OrphanedUploads(home, Address("kafka://memory:1", "t")).upload()
