from __future__ import annotations

import hashlib
import os
import sys
import threading
from pathlib import Path

import pytest

from gateway.client import notices
from gateway.client.capture.capture import start_capture
from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.client_harness import Memory, wait_for


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file that takes as long to read as a test likes: a pipe, until the test writes to it."""
    path = tmp_path / "checkpoint"
    os.mkfifo(path)
    return path


def newest(memory: Memory) -> dict[str, ev.Artifact]:
    """Return the artifacts as readers see them: the last reference of each name."""
    return {event.name: event for event in memory.events() if isinstance(event, ev.Artifact)}


def test_a_file_is_referred_to_with_size_and_digest(run: Run, memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"x" * 3_000_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/part").write_bytes(b"12")
    with run.step("save"):
        run.log_artifact(tmp_path / "a b.png")
    run.log_artifact(str(tmp_path / "folder"), "checkpoint")
    run.log_artifact(tmp_path / "missing")
    run.finish()

    found = newest(memory)
    assert {name: (one.size, one.step_name) for name, one in found.items()} == {
        "a b.png": (3_000_000, "save"),
        "checkpoint": (2, "main"),
        "missing": (None, "main"),
    }
    image = found["a b.png"]
    assert image.sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert (image.uri, image.media_type) == (f"file://{tmp_path}/a%20b.png", "image/png")
    assert memory.kinds()[-2:] == ["run_finished", "producer_closed"]


def test_an_artifact_that_is_no_path_is_reported(run: Run) -> None:
    run.log_artifact(7)  # type: ignore[arg-type]  # a mistake that people make
    run.finish()

    assert notices.counts["log_artifact"] == 1


def test_a_digest_that_takes_long_delays_neither_the_end_nor_console_lines(
    run: Run, memory: Memory, endless: Path
) -> None:
    start_capture(run.recorder, frozenset({"console"}))
    run.log_artifact(endless)
    sys.stdout.write("the last line\n")
    report = run.finish(timeout_s=2.0)

    assert memory.kinds() == ["artifact", "text", "run_finished", "producer_closed"]
    assert report.unsent == 0
    assert (newest(memory)["checkpoint"].size, notices.counts["digest"]) == (None, 1)

    endless.write_bytes(b"weights")  # the process continues, and the digest follows
    wait_for(lambda: newest(memory)["checkpoint"].size is not None)
    run.finish()
    assert newest(memory)["checkpoint"].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert memory.kinds()[-2:] == ["artifact", "producer_closed"]


def test_a_digest_during_finish_belongs_to_the_same_producer(run: Run, memory: Memory, endless: Path) -> None:
    run.log_artifact(endless)

    def write_after_the_end() -> None:
        wait_for(lambda: "run_finished" in memory.kinds())
        endless.write_bytes(b"weights")

    writer = threading.Thread(target=write_after_the_end)
    writer.start()
    run.finish()
    writer.join()

    assert memory.kinds() == ["artifact", "run_finished", "artifact", "producer_closed"]
    assert notices.counts == {}


def test_a_digest_brings_back_no_artifact_that_was_replaced_or_deleted(
    run: Run, memory: Memory, endless: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    run.log_artifact(endless)  # the digests below are taken after this one
    run.log_artifact(tmp_path / "model", "replaced")
    run.artifact("replaced", "s3://bucket/model", 5)
    run.log_artifact(tmp_path / "model", "deleted")
    run.delete(artifact="deleted")
    endless.write_bytes(b"weights")
    run.finish()

    assert newest(memory)["replaced"].uri == "s3://bucket/model"
    assert memory.kinds()[-3:] == ["artifact", "run_finished", "producer_closed"]
    assert newest(memory)["deleted"].size is None
