"""Import once, fork often: the server of python_process.py. Run as a program; its argument is a connected socket."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = (
    "aiokafka", "asyncpg", "consumers.cli.dead_letters.commands", "consumers.cli.rebuild", "consumers.cli.replay",
    "consumers.cli.retention", "consumers.cli.trackers", "consumers.cli.verify", "consumers.delivery.service",
    "consumers.materialiser.faust_app", "consumers.materialiser.worker", "gateway.cli.main",
)  # fmt: skip
MOST_BYTES = 1 << 18  # of a request: arguments and environment
FILES = 3  # of a request: the pipe for pid and status, stdout, stderr


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns the request in the fork, and None in the server when the tests have ended."""
    alarm, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests and for the forks
    pipes: dict[int, int] = {}  # by pid
    while True:
        ready, _, _ = select.select([control, alarm], [], [])
        if alarm in ready:
            os.read(alarm, 4096)
            report(pipes)
        if control not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, MOST_BYTES, FILES)
        if not message:
            return None
        request: dict[str, Any] = json.loads(message)
        load(request["imports"])
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number, file in enumerate(files[1:], start=1):
                os.dup2(file, number)
            for file in {*files, *pipes.values(), alarm, wakeup}:
                os.close(file)
            control.close()
            return request
        os.write(files[0], struct.pack("<i", pid))
        pipes[pid] = files[0]
        for file in files[1:]:
            os.close(file)


def report(pipes: dict[int, int]) -> None:
    """Write the exit status of each fork that ended to its pipe."""
    while pipes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        pipe = pipes.pop(pid)
        os.write(pipe, struct.pack("<i", os.waitstatus_to_exitcode(status)))
        os.close(pipe)


def load(modules: Any) -> None:
    """Import modules and keep their objects out of the garbage collection of each fork."""
    if new := [name for name in modules if name not in sys.modules]:
        for name in new:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()


def run(argv: list[str], environment: dict[str, str], folder: str) -> None:
    """Become the program: what the interpreter would do with these arguments and variables."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    sys.orig_argv = [sys.executable, *argv]  # a program may execute itself again
    if environment.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    added = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    first = {"-m": folder, "-c": ""}.get(argv[0], str(Path(argv[0]).parent))
    sys.path[:] = [first, *added, *(path for path in sys.path if path not in added)]
    if argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(argv[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    del sys.path[0]  # this folder
    sys.path.insert(0, str(Path.cwd()))
    load(MODULES)
    del sys.path[0]
    if (found := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        run(found["argv"], found["env"], found["cwd"])
