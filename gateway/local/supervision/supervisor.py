"""
Own the processes of one home: start them in order, restart what dies, end them in order.

Run as `python -m gateway.local.supervision.supervisor --home DIR`, detached, by `gateway up`. One thread, one loop:
between two polls of its children it answers /metrics, /healthz and /readyz. It ends on SIGTERM or SIGINT, and when its
owner (see --owner-fd) is gone. Orphans of a killed supervisor are ended before anything starts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from gateway.local import addresses
from gateway.local.addresses import Plan
from gateway.local.home import SUPERVISOR, Home, StackRecord, start_mark
from gateway.local.supervision.child import REFUSED, Child
from gateway.local.supervision.metrics import Metrics
from gateway.local.supervision.orphans import end_orphans
from gateway.local.supervision.services import declare
from schemas.errors import TrackingError
from schemas.runtime.probes import Probes, serve_probes

BUSY_POLL_S = 0.05  # while something is starting or ending
IDLE_POLL_S = 1.0  # a death wakes the loop by SIGCHLD, so this only bounds what signals can miss
ALREADY_RUNNING = 75  # EX_TEMPFAIL: another supervisor has this home
KEEP = b"k"  # from the owner: stay when the owner ends
# Retries services that were given up. An older supervisor ignores it, and a terminal that closes does no harm.
RETRY = signal.SIGHUP


class Supervisor:
    """The loop over the children of one stack."""

    def __init__(self, plan: Plan, only: list[str] | None, owner: int | None) -> None:
        services = [service for service in declare(plan) if only is None or service.name in only]
        names = {service.name for service in services}
        services = [replace(one, needs=tuple(name for name in one.needs if name in names)) for one in services]
        self._children = [Child(service, plan.home, plan.settings) for service in services]
        self._plan = plan
        self._owner = owner
        self._stopping = False
        self._retrying = False
        self._woken = asyncio.Event()
        self._written: StackRecord | None = None
        self._myself = psutil.Process()

    async def run(self) -> None:
        """Run the stack until it was asked to end and has ended. Raises StackError for a port that is taken."""
        loop = asyncio.get_running_loop()
        signals = _wake_on_signals(self._request_stop, self._request_retry)
        loop.add_reader(signals, self._on_signals, signals)
        if self._owner is not None:
            loop.add_reader(self._owner, self._on_owner, self._owner)
        port = self._plan.ports[SUPERVISOR + addresses.METRICS]
        async with serve_probes(self._plan.settings.model_copy(update={"metrics_port": port}), self._probes()):
            while not (self._stopping and all(child.state in ("stopped", "failed") for child in self._children)):
                if self._stopping:
                    self._stop_next_stage()
                self._retry()
                ready = {child.name for child in self._children if child.state == "ready"}
                for child in self._children:
                    child.step(ready)
                self._plan.home.rotate_log(SUPERVISOR)
                self._write(running=True)
                await self._wait()
        self._write(running=False)

    def _probes(self) -> Probes:
        metrics = Metrics([child.name for child in self._children])
        return Probes(lambda: metrics.render(self._children), unready=self._unready)

    def _unready(self) -> str:
        """Return which services are not ready, and why; "" when all are."""
        waiting = [child for child in self._children if child.state != "ready"]
        return "; ".join(child.error or f"{child.name} is {child.state}" for child in waiting)

    def _request_stop(self) -> None:
        self._stopping = True

    def _request_retry(self) -> None:
        self._retrying = True

    def _retry(self) -> None:
        if self._retrying and not self._stopping:
            for child in self._children:
                child.retry()
        self._retrying = False

    def _stop_next_stage(self) -> None:
        alive = [child for child in self._children if child.state not in ("stopped", "failed")]
        stage = min((child.service.stage for child in alive), default=0)
        for child in alive:
            if child.service.stage == stage or not child.has_process:  # a service that still waits must not start now
                child.stop()

    async def _wait(self) -> None:
        busy = self._stopping or not all(child.is_settled for child in self._children)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BUSY_POLL_S if busy else IDLE_POLL_S):
                await self._woken.wait()
        self._woken.clear()

    def _on_signals(self, signals: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(signals, 4096)
        self._woken.set()

    def _on_owner(self, owner: int) -> None:
        message = os.read(owner, 1)
        if message == b"":  # the owner has ended
            self._request_stop()
        if message in (b"", KEEP):
            asyncio.get_running_loop().remove_reader(owner)
            os.close(owner)
            self._owner = None
        self._woken.set()

    def _write(self, *, running: bool) -> None:
        record: StackRecord = {
            "version": 1,
            "running": running,
            "settings": addresses.stack_settings(self._plan.settings),
            "ports": self._plan.ports,
            "processes": {child.name: child.record() for child in self._children},
        }
        if running:
            record["processes"][SUPERVISOR] = {
                "pid": self._myself.pid,
                "create_time": self._myself.create_time(),
                "start": start_mark(self._myself.pid),
                "state": "stopping" if self._stopping else "ready",
                "restarts": 0,
                "error": "",
                "log": str(self._plan.home.log(SUPERVISOR)),
            }
        if record != self._written:
            try:
                self._plan.home.write(record)
                self._written = record
            except OSError as error:  # a full disk: everything keeps running, and the next turn tries again
                print(f"gateway: stack.json cannot be written ({error}): free some space", file=sys.stderr)  # noqa: T201


def _wake_on_signals(stop: Callable[[], None], retry: Callable[[], None]) -> int:
    """Return a file descriptor that becomes readable when a signal arrives: a request, or the death of a child."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    signal.signal(RETRY, lambda *_: retry())
    signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the loop
    return reader


def main(arguments: list[str] | None = None) -> int:
    """Supervise until asked to end, and return the exit code."""
    options = _parse(arguments)
    home = Home(options.home.absolute())
    home.create()
    lock = home.lock()
    if lock is None:
        return ALREADY_RUNNING
    with lock:
        try:
            end_orphans(home)
            given = addresses.given_settings(home.folder)
            ports = addresses.choose_ports(home, dict(options.port), given.trackers, new=options.new_ports)
            plan = addresses.make_plan(home, given, ports)
            only = options.services.split(",") if options.services else None
            names = [service.name for service in declare(plan)] if only is None else only
            addresses.refuse_taken(plan, [SUPERVISOR, *names])
            asyncio.run(Supervisor(plan, only, options.owner_fd).run())
        except TrackingError as error:
            print(f"gateway: {error}", file=sys.stderr, flush=True)  # noqa: T201 - to our log, read by `up`
            return REFUSED
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m gateway.local.supervision.supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=_named_port, action="append", default=[], metavar="NAME=N")
    parser.add_argument("--new-ports", action="store_true")
    parser.add_argument("--services", default="", help="comma-separated; all when empty")
    parser.add_argument("--owner-fd", type=int, help="read end of a pipe; the stack ends when its write end closes")
    return parser.parse_args(arguments)


def _named_port(text: str) -> tuple[str, int]:
    name, _, port = text.partition("=")
    return name, int(port)


if __name__ == "__main__":
    raise SystemExit(main())
