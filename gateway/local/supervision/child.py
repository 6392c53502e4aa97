"""
One supervised service: started once its dependencies are ready, polled for readiness, restarted when it dies.

A state machine stepped by the supervisor's loop; it never waits. Each death makes the pause before the restart longer.
Five deaths within a minute are a crash loop: the service is given up, with a message, and everything else keeps
running. Exit code 78 means that a restart cannot help. `gateway up` retries services that were given up.
"""

from __future__ import annotations

import signal
import subprocess
from collections import deque
from collections.abc import Collection
from time import monotonic
from typing import Literal

import psutil

from gateway.local.home import Home, ProcessRecord, start_mark
from gateway.local.supervision.process import kill_group, spawn
from gateway.local.supervision.services import Service, child_environment
from schemas.errors import TrackingError
from schemas.runtime.settings import Settings

State = Literal["waiting", "starting", "ready", "restarting", "failed", "stopping", "stopped"]

REFUSED = 78  # EX_CONFIG of sysexits.h: configuration error
DEATHS_ALLOWED = 5
DEATHS_WINDOW_S = 60.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


class Child:
    """A service and the process that runs it now."""

    def __init__(self, service: Service, home: Home, settings: Settings) -> None:
        self.service = service
        self.state: State = "waiting"
        self.restarts = 0
        self.deaths = 0  # unexpected ones
        self.error = ""
        self._home = home
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._create_time = 0.0
        self._start_mark = ""
        self._log_start = 0  # size of the log, in bytes, when the process started
        self._deaths: deque[float] = deque(maxlen=DEATHS_ALLOWED)
        self._due = 0.0  # monotonic time of the next start, or the deadline of a start or stop

    @property
    def name(self) -> str:
        """Name of the service."""
        return self.service.name

    @property
    def has_process(self) -> bool:
        """True while a process runs it, whatever its state."""
        return self._process is not None

    @property
    def is_settled(self) -> bool:
        """True in a state that only an event changes: ready, failed or stopped."""
        return self.state in ("ready", "failed", "stopped")

    def step(self, ready: Collection[str]) -> None:
        """Poll once and act at most once. `ready` names the services that are ready now."""
        if self._home.rotate_log(self.name):
            self._log_start = 0
        if self._process is not None and self._process.poll() is not None:
            self._on_death(self._process)
        elif self.state == "waiting" and all(name in ready for name in self.service.needs):
            self._start()
        elif self.state == "restarting" and monotonic() >= self._due:
            self.restarts += 1
            self._start()
        elif self.state == "starting" and self.service.is_ready():
            self.state, self.error = "ready", ""
        elif self.state in ("starting", "stopping") and self._process and 0 < self._due <= monotonic():
            kill_group(self._process.pid)  # its death is seen at the next step

    def retry(self) -> None:
        """Start a service again that was given up; its deaths so far no longer count."""
        if self.state == "failed":
            self._deaths.clear()
            self.restarts += 1
            self.state, self.error = "waiting", ""

    def stop(self) -> None:
        """Ask the process to end; `step` kills it after the service's stop timeout."""
        if self._process is None:
            self.state = "failed" if self.state == "failed" else "stopped"
        elif self.state != "stopping":
            self.state = "stopping"
            self._due = monotonic() + self.service.stop_timeout_s
            self._process.send_signal(self.service.stop_signal)

    def record(self) -> ProcessRecord:
        """Return its entry for stack.json."""
        return {
            "pid": self._process.pid if self._process else 0,
            "create_time": self._create_time,
            "start": self._start_mark,
            "state": self.state,
            "restarts": self.restarts,
            "error": self.error,
            "log": str(self._home.log(self.name)),
        }

    def _start(self) -> None:
        service = self.service
        try:
            command = service.prepare()
            with self._home.open_log(self.name) as log:
                self._log_start = log.tell()
                self._process = spawn(
                    command,
                    log,
                    environment=child_environment(self._settings, service.drop_variables),
                    death_signal=service.death_signal,
                    folder=self._home.folder,
                )
            self._create_time = psutil.Process(self._process.pid).create_time()
            self._start_mark = start_mark(self._process.pid)
        except (TrackingError, OSError, psutil.Error) as error:
            self._give_up(f"{self.name} cannot start: {error}")
            return
        self.state = "starting"
        self._due = monotonic() + service.ready_timeout_s if service.ready_timeout_s else 0.0

    def _on_death(self, process: subprocess.Popen[bytes]) -> None:
        kill_group(process.pid)  # its own children
        self._home.forget_ready([self.name])  # it would tell that a process serves
        was, self._process = self.state, None
        how = _describe(process.returncode)
        if was == "stopping":
            self.state = "stopped"
            return
        if was == "starting" and 0 < self._due <= monotonic():
            how = f"was not ready after {self.service.ready_timeout_s:.0f} s"
        last = self._home.last_words(self.name, self._log_start)
        self.deaths += 1
        self._deaths.append(monotonic())
        if process.returncode == REFUSED:
            self._give_up(last or f"{self.name} {how}: see `gateway logs {self.name}`")
        elif len(self._deaths) == DEATHS_ALLOWED and self._deaths[-1] - self._deaths[0] < DEATHS_WINDOW_S:
            self._give_up(
                f"{self.name} {how} {DEATHS_ALLOWED} times within {DEATHS_WINDOW_S:.0f} s, last output: {last!r}: "
                f"see `gateway logs {self.name}`"
            )
        else:
            recent = sum(1 for death in self._deaths if self._deaths[-1] - death < DEATHS_WINDOW_S)
            self.state, self.error = "restarting", f"{self.name} {how}, restarting; last output: {last!r}"
            self._due = monotonic() + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (recent - 1))

    def _give_up(self, why: str) -> None:
        self.state, self.error = "failed", why.removeprefix("gateway: ")


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
