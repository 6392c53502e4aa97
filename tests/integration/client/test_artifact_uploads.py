"""Bytes of artifacts that were on their way when a process was killed, and many at once, with a real broker."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.client.artifacts.pending import find_pending
from schemas import events as ev
from tests.support.client_harness import ROOT, read_log
from tests.support.gateway_command import environment as gateway_environment

MIB = 1_048_576
MEMORY_BYTES = 96 * MIB  # that a process may need for an artifact of any size, above what it needs for a small one

PEAK = """
import atexit
def print_peak():
    with open("/proc/self/status") as status:
        print("peak", *[line for line in status if line.startswith("VmHWM")], flush=True)
atexit.register(print_peak)
"""
TRAIN = """
    import sys, gateway
    with gateway.start_run() as run:
        run.emit("loss", 0.1, 0)
        run.log_artifact(sys.argv[1], artifact_path="model")
    """
NEXT_PROCESS = """
import gateway, os, time
with gateway.start_run():
    while os.path.exists(os.path.join(os.environ["GATEWAY_JOURNAL_DIR"], ".uploads")):
        time.sleep(0.05)
"""
MANY = """
import sys, time, gateway
with gateway.start_run() as run:
    begin = time.monotonic()
    gateway.log_artifacts(sys.argv[1], "all")
    print(f"logged in {time.monotonic() - begin:.1f} s", end=", ")
print(f"stored and acknowledged in {time.monotonic() - begin:.1f} s")
"""
SYNC = """
from gateway.cli.main import main
main()
"""
KILLED = """
    import os, signal, sys
    from gateway.client.artifacts.folder_store import FolderWriter
    write, half = FolderWriter.write, os.stat(sys.argv[1]).st_size // 2
    def write_half(self, data):
        if os.stat(self._part).st_size >= half:
            print_peak()
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, data)
    FolderWriter.write = write_half
    """


class Ended(NamedTuple):
    """A process that has ended."""

    code: int
    output: str
    peak_bytes: int  # of memory


@pytest.fixture
def settings(kafka: str, topic: str, tmp_path: Path, journal_home: Path) -> dict[str, str]:
    """Settings for a process that can reach the broker and the store."""
    return {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_HOME": str(tmp_path),
        "GATEWAY_JOURNAL_DIR": str(journal_home),
        "GATEWAY_CAPTURE": "none",
        "GATEWAY_ARTIFACTS": (tmp_path / "store").as_uri(),
        "GATEWAY_FINISH_TIMEOUT_S": "240",
    }


def start(settings: Mapping[str, str], code: str, *arguments: str) -> Ended:
    """Run a script with these arguments to its end."""
    env = gateway_environment(**settings)
    process = subprocess.Popen(
        [sys.executable, "-c", PEAK + textwrap.dedent(code), *arguments],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        output = process.stdout.read()
    found = re.search(r"peak VmHWM:\s+(\d+) kB", output)
    assert found is not None, output
    return Ended(process.wait(), output[: found.start()], int(found[1]) * 1_024)


def write_model(path: Path, size: int) -> str:
    """Write a file without repeated blocks of 1 MiB; return its SHA-256."""
    digest, block = hashlib.sha256(), os.urandom(MIB)
    with path.open("wb") as file:
        for number in range(size // MIB):
            part = number.to_bytes(8, "big") + block[8:]
            file.write(part)
            digest.update(part)
    return digest.hexdigest()


def artifacts(kafka: str, topic: str) -> list[ev.Artifact]:
    """Return the artifact events of the log, each once."""
    once = {envelope[:3]: envelope.event for envelope in read_log(kafka, topic)}
    return [event for event in once.values() if isinstance(event, ev.Artifact)]


@pytest.mark.parametrize("next_is", ["sync", "training"])
@pytest.mark.parametrize("size", [80 * MIB, pytest.param(1_024 * MIB, marks=pytest.mark.slow)], ids=["80-MiB", "1-GiB"])
def test_an_upload_killed_in_the_middle_is_continued_with_flat_memory(
    settings: dict[str, str],
    kafka: str,
    topic: str,
    tmp_path: Path,
    journal_home: Path,
    size: int,
    next_is: str,
) -> None:
    model, small = tmp_path / "model.pt", tmp_path / "small.pt"
    digest, part = write_model(model, size), tmp_path / "store/partial"
    small_digest = write_model(small, MIB)
    killed = start(settings, KILLED + TRAIN, str(model))
    left = (part / digest).stat()
    if next_is == "sync":
        ended = start(settings, SYNC, "sync", "--json")
        facts: dict[str, Any] = json.loads(ended.output)
        assert (facts["journals"], facts["artifacts"], facts["artifacts_waiting"]) == (1, 1, [])
    else:
        ended = start(settings, NEXT_PROCESS)
    base = start(settings, TRAIN, str(small))

    stored = tmp_path / "store/sha256" / digest[:2] / digest
    last = [found for found in artifacts(kafka, topic) if found.size == size][-1]
    assert killed.code == -9
    assert (left.st_size, left.st_ino) == (size // 2, stored.stat().st_ino)  # the same file, continued
    with stored.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    assert (last.name, last.uri, last.sha256) == ("model/model.pt", stored.as_uri(), digest)
    assert find_pending(str(journal_home)) == []
    assert ended.code == 0, ended.output
    assert small_digest in {found.sha256 for found in artifacts(kafka, topic)}
    peaks = [one.peak_bytes // MIB for one in (killed, ended, base)]
    sys.stdout.write(
        f"{size:,} bytes, {digest}: killed, continued by {next_is}, 1 MiB alone: peak memory {peaks} MiB\n"
    )
    assert max(killed.peak_bytes, ended.peak_bytes) - base.peak_bytes < MEMORY_BYTES


@pytest.mark.slow
def test_an_artifact_of_20_gb_is_stored_with_flat_memory(
    settings: dict[str, str], kafka: str, topic: str, tmp_path: Path
) -> None:
    model, size = tmp_path / "model.pt", 20_000_000_000
    with model.open("wb") as file:
        file.write(b"begin")
        file.truncate(size)  # a sparse file
    ended = start({**settings, "GATEWAY_FINISH_TIMEOUT_S": "1000"}, TRAIN, str(model))

    last = artifacts(kafka, topic)[-1]
    sys.stdout.write(f"{size:,} bytes, SHA-256 {last.sha256}: peak memory {ended.peak_bytes // MIB} MiB\n")
    assert (last.size, last.uri) == (size, (tmp_path / "store/sha256" / last.sha256[:2] / last.sha256).as_uri())
    assert (tmp_path / "store/sha256" / last.sha256[:2] / last.sha256).stat().st_blocks * 512 < MEMORY_BYTES
    assert ended.peak_bytes < MEMORY_BYTES


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_small_files_are_stored_each_once(
    settings: dict[str, str], kafka: str, topic: str, tmp_path: Path, journal_home: Path, count: int
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.txt").write_bytes(b"%d" % (number // 2))  # every file is there twice
    ended = start(settings, MANY, str(folder))

    last = {found.name: found for found in artifacts(kafka, topic)}
    sys.stdout.write(f"{count:,} files: {ended.output.strip()}; peak memory {ended.peak_bytes // MIB} MiB\n")
    assert ended.code == 0, ended.output
    assert {name: found.sha256 for name, found in last.items()} == {
        f"all/{number:05}.txt": hashlib.sha256(b"%d" % (number // 2)).hexdigest() for number in range(count)
    }
    assert len([path for path in (tmp_path / "store/sha256").rglob("*") if path.is_file()]) == count // 2
    assert find_pending(str(journal_home)) == []
