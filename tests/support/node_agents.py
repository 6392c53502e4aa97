"""Trainings that an agent ships: started, killed, and what the log has of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.client.agent.place import AgentPlace
from schemas import events as ev
from schemas.wire import Envelope, decode
from tests.support.client_harness import ROOT, raw_log, wait_for

EMITTING = """
import os, sys, time
import gateway
run_id, told = sys.argv[1:]
handle = os.open(told, os.O_WRONLY | os.O_CREAT, 0o600)
run = gateway.start_run(run_id=run_id, capture=False)
step = 0
while not os.path.exists(told + ".end"):
    for _ in range(20):
        gateway.emit("loss", step * 0.5, step)
        step += 1
    os.pwrite(handle, step.to_bytes(8, "little"), 0)
    time.sleep(0.002)
report = run.finish(timeout_s=60)
print(report.emitted, report.sent, report.unsent, report.dropped)
"""


def agent_of(home: Path) -> dict[str, Any]:
    """Return who the agent of a journal home is; {} if there is none."""
    place = AgentPlace(str(home))
    return place.read_state() if place.is_taken else {}


def agent_processes(home: Path) -> list[int]:
    """Return the process ids of all agents of a journal home, those of other containers and of sidecars included."""
    states = [json.loads(path.read_text(encoding="utf-8")) for path in home.glob(".agents-*/*/agent.json")]
    return [state["pid"] for state in states if _is_agent(state["pid"])]


def _is_agent(process: int) -> bool:
    with suppress(OSError):
        return b"agent" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


@contextmanager
def no_agent_left(home: Path) -> Iterator[None]:
    """End the agents of a journal home after the block."""
    try:
        yield
    finally:
        for process in agent_processes(home):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def wait_for_agent(home: Path) -> int:
    """Wait until a journal home has an agent and return its process id."""
    wait_for(lambda: bool(agent_of(home)), timeout_s=30)
    return int(agent_of(home)["pid"])


class Emitting:
    """A process that emits ten thousand points a second until it has to finish."""

    def __init__(self, folder: Path, run_id: str, settings: Mapping[str, str]) -> None:
        self.run_id = run_id
        self._told = folder / run_id
        env = {
            name: value
            for name, value in os.environ.items()
            if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", EMITTING, run_id, str(self._told)],
            env={**env, "GATEWAY_AGENT": "on", "GATEWAY_CAPTURE": "none", **settings},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def emitted(self) -> int:
        """Number of points of which is known that they were emitted."""
        try:
            return int.from_bytes(self._told.read_bytes()[:8], "little")
        except FileNotFoundError:
            return 0

    def wait(self, least: int) -> Emitting:
        """Return when it has emitted so many points."""
        wait_for(lambda: self.emitted >= least or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()[1]
        return self

    def kill(self) -> int:
        """Send SIGKILL; return the least number of points that it has emitted."""
        self.process.kill()
        self.process.communicate()
        return self.emitted

    def finish(self) -> tuple[list[int], str]:
        """Let it finish. Return emitted, sent, unsent and dropped as it reported them, and what it wrote to stderr."""
        Path(f"{self._told}.end").touch()
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, err
        return [int(word) for word in out.split()], err


class Trainings:
    """Starts trainings; those that a failed test leaves end with the block."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._settings = settings
        self._started: list[Emitting] = []

    def __enter__(self) -> Trainings:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._started:
            if one.process.poll() is None:
                one.kill()

    def start(self, run_id: str, **changed: str) -> Emitting:
        """Return a training with these settings."""
        made = Emitting(self._folder, run_id, {**self._settings, **changed})
        self._started.append(made)
        return made


class Logged:
    """What a topic has of each run, each identity once."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        contents: dict[tuple[str, str, int], bytes] = {}
        self.steps: dict[str, list[int]] = defaultdict(list)
        self.kinds: dict[str, list[str]] = defaultdict(list)
        self.repeated = 0  # records that were there before
        for record in raw_log(bootstrap, topic):
            found = decode(record.key, record.value, record.headers)
            assert isinstance(found, Envelope)
            identity = (found.run_id, found.producer, found.seq)
            before = contents.setdefault(identity, record.value)
            assert before == record.value, f"two contents of {identity}"
            if before is not record.value:
                self.repeated += 1
                continue
            self.kinds[found.run_id].append(found.event.kind)
            if isinstance(found.event, ev.Metrics):
                self.steps[found.run_id] += [step for series in found.event.series for step in series.steps]
        numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
        for run_id, producer, seq in contents:
            numbers[run_id, producer].add(seq)
        self.gaps = {one for one, seqs in numbers.items() if seqs != set(range(len(seqs)))}
