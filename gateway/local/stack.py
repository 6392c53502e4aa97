"""
Start, stop and look at the stack of one home, from Python.

    stack = Stack(Path("~/my-stack").expanduser())
    addresses = stack.up()
    ...
    stack.down()

With `up(owner=True)` the stack ends when this process ends, even by SIGKILL, unless `keep()` was called.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import psutil

from gateway.client.agent.stopping import stop_agents
from gateway.local.addresses import (
    METRICS,
    Addresses,
    addresses_of,
    changed_settings,
    choose_ports,
    given_settings,
    has_door,
    make_plan,
    metrics_url,
    running_settings,
)
from gateway.local.connectivity import check_external
from gateway.local.home import SUPERVISOR, Home, ProcessRecord, StackRecord, find_process
from gateway.local.progress import Progress, Quiet
from gateway.local.servers.java import find_java
from gateway.local.servers.kafka_jars import ensure_jars
from gateway.local.servers.postgres import binaries
from gateway.local.supervision.child import REFUSED
from gateway.local.supervision.orphans import end_orphans, find_orphans
from gateway.local.supervision.supervisor import ALREADY_RUNNING, KEEP, RETRY
from schemas.errors import BadSettings, StackError
from schemas.runtime.settings import Settings

POLL_S = 0.05
START_TIMEOUT_S = 300.0  # includes the recovery of Kafka and PostgreSQL; the supervisor continues after it
STOP_TIMEOUT_S = 90.0
RETRY_TIMEOUT_S = 30.0  # until the supervisor acts on a request; it may be starting something


class Stack:
    """The embedded stack of one home: its data, and the processes that serve them."""

    def __init__(self, home: Path | str | None = None) -> None:
        self.home = Home(Settings.load(home).home.absolute())
        self._owner_pipe: int | None = None

    def up(
        self,
        *,
        progress: Progress | None = None,
        owner: bool = False,
        ports: dict[str, int] | None = None,
        new_ports: bool = False,
        services: Sequence[str] | None = None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> Addresses:
        """
        Start everything and return its addresses once it serves.

        In a stack that runs already, services that were given up are retried, and the call waits for all to be ready.
        `services` names the only ones to start (default: all). Raises StackError when a service was given up or is not
        ready within `timeout_s`; the others are left running.
        """
        progress = progress or Quiet()
        self.home.create()
        running = self._supervisor()
        if running is None:
            self._check(ports or {}, new_ports, services, progress)
            process = self._start(ports or {}, new_ports, services)
        elif ports or new_ports:
            raise StackError(f"the stack of {self.home.folder} runs already: run `gateway down` first to change ports")
        else:
            process = None
            self._retry(running)
        try:
            self._wait_ready(process, progress, timeout_s)
        except KeyboardInterrupt:
            if process:
                self._abandon(process)
            raise
        except StackError:
            self._detach(process, owner)
            raise
        self._detach(process, owner)
        return self.addresses()

    def keep(self) -> None:
        """Let the stack outlive this process after `up(owner=True)`."""
        if self._owner_pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                os.write(self._owner_pipe, KEEP)
            self._close_pipe()

    def down(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End every process; keep the data. Returns False when nothing ran."""
        if not self.home.folder.exists():
            return False
        supervisor = self._supervisor()
        if supervisor is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                supervisor.terminate()
                try:
                    supervisor.wait(timeout_s)
                except psutil.TimeoutExpired:
                    supervisor.kill()  # stopped or stuck; its orphans are ended below
        found = find_orphans(self.home)
        end_orphans(self.home)
        stop_agents(str(self.home.folder / "journal"))  # what trainings of this home started
        self._close_pipe()
        if found:  # the supervisor was killed, and did not record the end of the stack
            self._write_ended()
        return supervisor is not None or bool(found)

    def addresses(self) -> Addresses:
        """Return the addresses of the stack, or of its last run. Raises StackError when it never ran."""
        found: dict[str, Any] = self.home.read()["settings"]
        if not found:
            raise StackError(f"no stack was ever started in {self.home.folder}: run `gateway up`")
        return addresses_of(running_settings(found))

    def changed_settings(self) -> list[str]:
        """Return one line for the settings that differ from those of the running stack; [] if none does."""
        record = self.home.read()
        try:
            names = changed_settings(given_settings(self.home.folder), record["settings"])
        except BadSettings as error:
            return [str(error)]
        if not names or self._supervisor() is None:
            return []
        variables = ", ".join(f"GATEWAY_{name.upper()}" for name in names)
        return [
            f"{variables} differ{'s' if len(names) == 1 else ''} from what the running stack was started with: "
            "run `gateway down`, then `gateway up`, to apply it"
        ]

    def status(self) -> dict[str, Any]:
        """
        Return {"running", "home", "addresses", "supervisor": facts, "services": {name: facts}}.

        The facts of a process: state, pid, restarts, uptime_s, error, and metrics (the URL).
        """
        record = self.home.read()
        running = self._supervisor() is not None
        ports = record["ports"]
        processes = {
            name: {**_describe(process, running), "metrics": metrics_url(ports.get(name + METRICS))}
            for name, process in record["processes"].items()
        }
        supervisor = processes.pop(SUPERVISOR, None)
        found = self.addresses() if record["settings"] else None
        return {
            "running": running,
            "home": str(self.home.folder),
            "addresses": found.shown if found else {},
            "supervisor": supervisor if running else None,
            "services": processes,
        }

    def _check(
        self, ports: dict[str, int], new_ports: bool, services: Sequence[str] | None, progress: Progress
    ) -> None:
        """Raise here, where the user is watching, what would stop the supervisor a second later."""
        given = given_settings(self.home.folder)
        plan = make_plan(self.home, given, choose_ports(self.home, ports, given.trackers, new=new_ports))
        check_external(plan)
        if given.mlflow_doors and not has_door(given):
            progress.report('mlflow-door is left out: MLflow is not installed (pip install "tracking-gateway[mlflow]")')
        wanted = {"kafka", "postgres", "mlflow"} if services is None else set(services)
        if "kafka" in wanted - plan.external:
            find_java()
            ensure_jars(progress)
        if "postgres" in wanted - plan.external:
            binaries()

    def _start(self, ports: dict[str, int], new_ports: bool, services: Sequence[str] | None) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-P", "-m", "gateway.local.supervision.supervisor", "--home", str(self.home.folder)]
        argv += [part for name, port in ports.items() for part in ("--port", f"{name}={port}")]
        argv += ["--new-ports"] if new_ports else []
        argv += ["--services", ",".join(services)] if services is not None else []
        # Until `keep`, the stack ends with this process: a start that is killed leaves nothing running.
        reader, self._owner_pipe = os.pipe()
        argv += ["--owner-fd", str(reader)]
        with self.home.open_log(SUPERVISOR) as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal must not reach it
                pass_fds=[reader],
            )
        os.close(reader)
        return process

    def _retry(self, supervisor: psutil.Process) -> None:
        """Retry services that were given up; return once the supervisor has restarted them. Raises StackError."""
        given_up = {name: one["restarts"] for name, one in self._children(None).items() if one["state"] == "failed"}
        if not given_up:
            return
        deadline = monotonic() + RETRY_TIMEOUT_S
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor.send_signal(RETRY)
        while any(one["restarts"] == given_up.get(name) for name, one in self._children(None).items()):
            if monotonic() > deadline:
                raise StackError(f"{', '.join(given_up)} cannot be retried: run `gateway down`, then `gateway up`")
            sleep(POLL_S)

    def _detach(self, process: subprocess.Popen[bytes] | None, owner: bool) -> None:
        """Detach from a supervisor that this process started; it keeps running unless this process owns it."""
        if not owner:
            self.keep()
        if process and process.poll() is None:
            process.returncode = 0  # it outlives us on purpose; Popen would warn that it still runs

    def _abandon(self, process: subprocess.Popen[bytes]) -> None:
        """End a stack whose start was interrupted, so that no half of it stays."""
        self._close_pipe()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            end_orphans(self.home)

    def _close_pipe(self) -> None:
        if self._owner_pipe is not None:
            os.close(self._owner_pipe)
            self._owner_pipe = None

    def _wait_ready(self, process: subprocess.Popen[bytes] | None, progress: Progress, timeout_s: float) -> None:
        """Report each service as it becomes ready, until all are. Raises StackError for those that do not."""
        started = monotonic()
        reported: dict[str, str] = {}
        while True:
            if process and (code := process.poll()) not in (None, ALREADY_RUNNING):
                last = self.home.last_line(SUPERVISOR).removeprefix("gateway: ")
                if code == 0:
                    raise StackError("the stack was stopped while it started: run `gateway up` again")
                raise StackError(last if code == REFUSED else f"the supervisor ended with code {code}: {last}")
            children = self._children(process)
            for name, child in children.items():
                line = f"{name} is ready" if child["state"] == "ready" else child["error"]
                if line and reported.get(name) != line:
                    reported[name] = line
                    progress.report(line)
            pending = _pending(children)
            if children and not pending:
                break
            if monotonic() - started > timeout_s:
                missing = (
                    ", ".join(f"{name} ({children[name]['error'] or 'starting'})" for name in pending) or "anything"
                )
                raise StackError(
                    f"not ready after {timeout_s:.0f} s: {missing}; see `gateway logs` and `gateway status`"
                )
            sleep(POLL_S)
        if failed := [child["error"] for child in children.values() if child["state"] == "failed"]:
            raise StackError(
                "; ".join(failed) + " (the rest runs; once this is fixed, run `gateway down` and `gateway up`)"
            )

    def _children(self, process: subprocess.Popen[bytes] | None) -> dict[str, ProcessRecord]:
        """Return the records of the services; {} while stack.json is still that of an earlier supervisor."""
        processes = self.home.read()["processes"]
        supervisor = processes.pop(SUPERVISOR, None)
        if supervisor is None or find_process(supervisor) is None:
            return {}
        if process and process.poll() is None and supervisor["pid"] != process.pid:
            return {}
        return processes

    def _supervisor(self) -> psutil.Process | None:
        record = self.home.read()["processes"].get(SUPERVISOR)
        return find_process(record) if record else None

    def _write_ended(self) -> None:
        record: StackRecord = self.home.read()
        record["running"] = False
        record["processes"].pop(SUPERVISOR, None)
        for process in record["processes"].values():
            process["state"], process["pid"] = "stopped", 0
        self.home.write(record)


def _pending(children: dict[str, ProcessRecord]) -> list[str]:
    """Name the services that may still become ready. One that waits for a service that was given up will not."""
    is_given_up = any(child["state"] == "failed" for child in children.values())
    hopeless = ("ready", "failed", "waiting") if is_given_up and not _is_moving(children) else ("ready", "failed")
    return sorted(name for name, child in children.items() if child["state"] not in hopeless)


def _is_moving(children: dict[str, ProcessRecord]) -> bool:
    return any(child["state"] in ("starting", "restarting") for child in children.values())


def _describe(record: ProcessRecord, running: bool) -> dict[str, Any]:
    process = find_process(record) if record["pid"] else None
    state = record["state"] if running else "stopped"
    return {
        "state": state if process or not record["pid"] else "stopped",
        "pid": record["pid"] if process else None,
        "restarts": record["restarts"],
        "uptime_s": round(time() - record["create_time"], 1) if process else None,
        "error": record["error"],
    }
