from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.client import notices
from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.client_harness import Memory


def test_a_file_is_referred_to_with_size_and_digest(run: Run, memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"x" * 3_000_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/part").write_bytes(b"12")
    with run.step("save"):
        run.log_artifact(tmp_path / "a b.png")
    run.log_artifact(str(tmp_path / "folder"), "checkpoint")
    run.log_artifact(tmp_path / "missing")
    run.finish()

    found = [event for event in memory.events() if isinstance(event, ev.Artifact)]
    assert [(one.name, one.size, one.step_name) for one in found] == [
        ("a b.png", 3_000_000, "save"),
        ("checkpoint", 2, "main"),
        ("missing", None, "main"),
    ]
    assert found[0].sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert (found[0].uri, found[0].media_type) == (f"file://{tmp_path}/a%20b.png", "image/png")


def test_an_artifact_that_is_no_path_is_reported(run: Run) -> None:
    run.log_artifact(7)  # type: ignore[arg-type]  # a mistake that people make
    run.finish()

    assert notices.counts["log_artifact"] == 1
