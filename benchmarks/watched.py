"""
Run one command to its end and measure it: seconds, CPU time and peak memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import orjson
import psutil

from benchmarks.environments import Missing
from gateway.local.supervision.process import LAUNCH, kill_group

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-P", "-m", "gateway.cli")
POLL_S = 0.1
REPORT_EVERY_S = 15.0


class Ended(NamedTuple):
    """One process that has ended."""

    status: int
    seconds: float  # from its start to its end, imports included
    cpu_s: float  # user and system time
    peak_mib: float  # VmHWM: peak resident memory
    out: str  # stdout
    err: str  # stderr

    def document(self) -> dict[str, Any]:
        """Return the JSON object that it printed; {} when it printed none."""
        with suppress(orjson.JSONDecodeError):
            found = orjson.loads(self.out)
            return found if isinstance(found, dict) else {}
        return {}

    def last_words(self) -> str:
        """Return the last line on stderr."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""


class Watched:
    """A running process, in a process group of its own. `kill` ends the whole group."""

    def __init__(self, argv: Sequence[str], variables: Mapping[str, str], folder: Path, name: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        folder.mkdir(parents=True, exist_ok=True)
        # The launcher ends the command when this process ends.
        launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(signal.SIGKILL)), ""]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [*launcher, *argv], env={**inherited, "PYTHONPATH": str(ROOT), **variables}, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
        self._began, self._peak, self._cpu = monotonic(), 0.0, 0.0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_over(self) -> bool:
        """Return True if it has ended; also samples its memory."""
        self._peak = max(self._peak, _high_water(self.pid))
        if self._process.returncode is None:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._cpu = used.ru_utime + used.ru_stime
        return self._process.returncode is not None

    def wait(self, report: Callable[[str], None], most_s: float = 4 * 3_600.0) -> Ended:
        """Return once it has ended; reports its last line from time to time, and kills it after `most_s`."""
        next_report = monotonic() + REPORT_EVERY_S
        while not self.is_over():
            now = monotonic()
            if now - self._began > most_s:
                self.kill()
                break
            if now >= next_report:
                next_report = now + REPORT_EVERY_S
                report(f"{now - self._began:.0f} s, {self._peak:.0f} MiB: {self.last_words()}")
            sleep(POLL_S)
        return self.result()

    def until(self, condition: Callable[[], bool], most_s: float) -> None:
        """Return once a condition holds. Raises Missing when the process ends first, or after `most_s`."""
        deadline = monotonic() + most_s
        while not condition():
            if self.is_over() or monotonic() > deadline:
                raise Missing(f"it did not become ready: {self.last_words()}")
            sleep(POLL_S)

    def kill(self) -> None:
        """Send SIGKILL to it and to what it started, and wait until it has ended."""
        kill_group(self.pid)
        while not self.is_over():
            sleep(0.005)

    def result(self) -> Ended:
        """Return what it has used so far; status -1 while it runs."""
        code = self._process.returncode if self._process.returncode is not None else -1
        seconds = monotonic() - self._began
        return Ended(code, seconds, self._cpu, self._peak, _text(self._out), _text(self._err))

    def last_words(self) -> str:
        """Return the last line on stderr."""
        return self.result().last_words()


def peak_mib(pid: int) -> float:
    """Return the peak resident memory of a process and its children (sum of each peak), MiB; 0 when it has ended."""
    return sum(_high_water(one) for one in (pid, *_children(pid)))


def _children(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _high_water(pid: int) -> float:
    with suppress(OSError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1_024
    return 0.0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
