"""
Start an agent from a training process, without a fork of it and without a child that stays.

`posix_spawn` starts a Python that starts the agent and ends at once. The agent inherits no descriptor, no signal
handling and, of the environment, only what Python and the network need; the credentials go through a pipe.
"""

from __future__ import annotations

import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.address import Address

VARIABLES = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONHOME",
    "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR", "GATEWAY_HOME", "GATEWAY_JOURNAL_DIR",
)  # fmt: skip
RESET = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


def start(home: str, address: Address, idle_s: float) -> int:
    """
    Start an agent and return the process id of what starts it. Raises OSError.

    Exit code 0 of that process means that there is an agent.
    """
    python = sys.executable
    if getattr(sys, "frozen", False) or not os.path.basename(python or "").startswith(("python", "pypy")):
        raise OSError(f"{python!r} is not a Python that could run it")
    settings = {
        "home": home,
        "idle_s": idle_s,
        "url": address.url,
        "topic": address.topic,
        "options": address.options,
    }
    read, write = os.pipe()
    try:
        os.set_blocking(write, False)  # a pipe takes 64 KiB without a reader
        text = json.dumps(settings).encode()
        if os.write(write, text) < len(text):
            raise OSError("the settings of the address are too long for a pipe")
        return os.posix_spawn(
            python,
            [python, "-P", os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py"), "--detach"],
            {name: os.environ[name] for name in VARIABLES if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, read, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsigmask=[],
            setsigdef=RESET,
        )
    finally:
        os.close(read)
        os.close(write)


def exit_code(process: int) -> int | None:
    """Return the exit code of a process that `start` returned; None while it runs; -1 when somebody else has it."""
    try:
        found, status = os.waitpid(process, os.WNOHANG)
    except ChildProcessError:
        return -1
    return os.waitstatus_to_exitcode(status) if found else None
