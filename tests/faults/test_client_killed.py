"""SIGKILL of training processes at random instants: every emit that had returned is in PostgreSQL, once."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.support.client_harness import ROOT
from tests.support.gateway_command import gateway_with
from tests.support.materialiser_process import environment, materialiser, reading, until_complete

COUNT = struct.Struct("<Q")
TRAINING = """
import mmap, os, struct, sys, time
import gateway
path, run_id = sys.argv[1:]
told = mmap.mmap(os.open(path, os.O_RDWR), 8)
write = struct.Struct("<Q").pack_into
gateway.start_run(run_id=run_id)
step = 0
while True:
    for _ in range(50):
        gateway.emit("loss", step * 0.5, step)
        step += 1
        write(told, 0, step)
    if step % 1_000 == 0:
        gateway.log_params({f"p{step}": step})
    time.sleep(0.001)
"""


class Killed:
    """A training process to be killed, and its number of emits that returned."""

    def __init__(self, folder: Path, number: int, variables: dict[str, str]) -> None:
        self.run_id = f"killed-{number}"
        path = folder / self.run_id
        path.write_bytes(bytes(COUNT.size))
        with path.open("r+b") as file:
            self._told = mmap.mmap(file.fileno(), COUNT.size)
        self._process = subprocess.Popen(
            [sys.executable, "-c", TRAINING, str(path), self.run_id], env=variables, cwd=ROOT, stderr=subprocess.PIPE
        )

    @property
    def emitted(self) -> int:
        """Number of emits that returned."""
        return int(COUNT.unpack_from(self._told)[0])

    def kill_after(self, seconds: float) -> Killed:
        """Send SIGKILL this many seconds after its first emit."""
        deadline = monotonic() + 90
        while not self.emitted:
            assert monotonic() < deadline, "it does not train"
            assert self._process.poll() is None, self._process.stderr
            sleep(0.001)
        end = monotonic() + seconds
        while monotonic() < end:
            sleep(0.0005)
        self._process.kill()
        self._process.communicate()
        return self


def checksum(points: list[tuple[int, float]]) -> str:
    return hashlib.sha256(json.dumps(sorted(points)).encode()).hexdigest()


@pytest.mark.parametrize(
    "rounds", [6, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])], ids=["6", "200"]
)
async def test_every_emit_that_returned_is_stored_once(
    kafka: str, topic: str, database: str, tmp_path: Path, journal_home: Path, rounds: int
) -> None:
    settings = {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_JOURNAL_DIR": str(journal_home),
        "GATEWAY_HOME": str(tmp_path),
    }
    variables = {
        name: value for name, value in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    } | settings
    killed = [Killed(tmp_path, number, variables).kill_after(random.uniform(0, 1.2)) for number in range(rounds)]
    first = gateway_with(settings, "sync", "--json")
    again = gateway_with(settings, "sync", "--json")
    with materialiser(tmp_path, environment(kafka, topic, database)):
        async with reading(database) as store:
            await until_complete(store, [one.run_id for one in killed])
            states = {run.state for run in await store.runs(limit=rounds + 1)}
            found = {}
            for one in killed:
                points = [point async for point in store.points(one.run_id)]
                found[one.run_id] = [(point.step, point.value) for point in points]
            logs = [await store.run_log(one.run_id) for one in killed]

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert json.loads(again.stdout)["journals"] == 0
    assert not list(journal_home.rglob("*.seg"))
    assert states == {"killed"}
    for one in killed:
        stored = found[one.run_id]
        # An emit in progress at the kill may be stored although it never returned.
        assert one.emitted <= len(stored) <= one.emitted + 1
        assert checksum(stored) == checksum([(step, step * 0.5) for step in range(len(stored))])
    parts = [part for log in logs if log is not None for part in log.completeness]
    assert [(part.missing, part.received == part.expected) for part in parts] == [([], True)] * rounds
