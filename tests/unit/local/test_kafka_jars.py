"""Kafka's jars: intact ones are kept, damaged and missing ones are found."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from gateway.local.servers import kafka_jars


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of two small intact jars."""
    bodies = {"one-1.0.jar": b"1" * 100, "two-2.0.jar": b"2" * 200}
    rows = [
        {"jar": f"org.example:{name[:3]}:{name[4:7]}", "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for name, body in bodies.items()
    ]
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(rows))
    monkeypatch.setattr(kafka_jars, "LOCK_FILE", lock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = kafka_jars.cache_folder()
    folder.mkdir(parents=True)
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    return folder


def test_intact_jars_are_left_alone(cache: Path) -> None:
    before = (cache / "one-1.0.jar").stat().st_ino
    found = kafka_jars.ensure_jars()

    assert [path.name for path in found] == ["one-1.0.jar", "two-2.0.jar"]
    assert (cache / "one-1.0.jar").stat().st_ino == before


def test_a_missing_a_short_and_a_changed_jar_are_damaged(cache: Path) -> None:
    kafka_jars.ensure_jars()
    (cache / "one-1.0.jar").write_bytes(b"9" * 100)
    (cache / "two-2.0.jar").write_bytes(b"2" * 199)
    changed = [jar.file for jar in kafka_jars.damaged_jars(cache)]
    (cache / "one-1.0.jar").unlink()
    missing = [jar.file for jar in kafka_jars.damaged_jars(cache)]

    assert changed == missing == ["one-1.0.jar", "two-2.0.jar"]


def test_damage_that_kept_size_and_time_is_found_on_demand(cache: Path) -> None:
    kafka_jars.ensure_jars()
    path = cache / "one-1.0.jar"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_bytes(b"9" * 100)
    os.utime(path, ns=times)

    assert kafka_jars.damaged_jars(cache) == []
    assert [jar.file for jar in kafka_jars.damaged_jars(cache, full=True)] == ["one-1.0.jar"]


def test_an_unreadable_manifest_means_hashing_again(cache: Path) -> None:
    kafka_jars.ensure_jars()
    (cache / "manifest.json").write_text("{")

    assert kafka_jars.damaged_jars(cache) == []
    assert len(kafka_jars.ensure_jars()) == 2


def test_the_class_path_holds_one_version_of_kafka() -> None:
    jars = [jar for jar in kafka_jars.pinned_jars() if jar.coordinate.startswith("org.apache.kafka:")]

    assert {jar.coordinate.rpartition(":")[2] for jar in jars} == {kafka_jars.VERSION}
    assert len({jar.file for jar in kafka_jars.pinned_jars()}) == len(kafka_jars.pinned_jars())
