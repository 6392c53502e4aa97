"""
Run an agent in this process: in the foreground, or away from the process that started it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress

from gateway.client.address import find_address
from gateway.client.agent.place import LOG, LOG_BYTES, SHARED, AgentPlace
from gateway.client.errors import ClientError
from gateway.client.journal.folder import journal_home, make_private
from gateway.client.notices import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILES = 65_536  # descriptors: four for each journal
SWITCH_S = 0.000_5  # taking a journal is a row of short calls: after each it waits this long for a shipper's thread
READY = b"1"


def run_here(*, idle_s: float) -> int:
    """
    Be the agent that all processes of this user and journal home share; return the exit code.

    Address and credentials are those of the environment and of gateway.toml, as for training code. `idle_s` 0: for
    ever.
    """
    try:
        address = find_address()
        home = journal_home()
        make_private(home) if not os.path.isdir(home) else None
    except (ClientError, OSError) as error:
        warn(f"the agent cannot start: {error}")
        return 2
    place = AgentPlace(home, SHARED)
    known = (address.url, address.topic) if address.keeps else None
    os.umask(0o077)
    if _run(place, address.options, idle_s, known, -1):
        return 0
    warn(f"another agent has {place.folder}")
    return 1


def run_detached(settings: str) -> int:
    """Start an agent that outlives its starter; return 0 when there is one, this or another. Called once."""
    found = json.loads(settings)
    place = AgentPlace(found["home"])
    os.umask(0o077)
    place.create()
    told, tells = os.pipe()
    if os.fork():
        os.close(tells)
        return 0 if os.read(told, 1) == READY or place.is_taken else 1
    os.setsid()
    os.chdir("/")
    _leave(place, tells)
    with suppress(OSError, AttributeError):  # a launcher pins each training to a core: an agent needs none of them
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    _run(place, found["options"], float(found["idle_s"]), (found["url"], found["topic"]), tells)
    os._exit(0)


def _leave(place: AgentPlace, keep: int) -> None:
    """Close everything that was inherited; errors are written to the log from now on, which is bounded."""
    log = os.open(place.path(LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(log).st_size > LOG_BYTES:
        os.ftruncate(log, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle, copy in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(handle, copy)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            with suppress(OSError):  # the one of the list itself
                os.close(int(name))
    os.set_inheritable(keep, False)


def _run(
    place: AgentPlace, options: Mapping[str, str], idle_s: float, address: tuple[str, str] | None, tells: int
) -> bool:
    """Be the agent of a folder; return False when there is another one."""
    from gateway.client.agent.server import NodeAgent

    place.create()
    with suppress(ValueError, OSError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = MAX_FILES if most == resource.RLIM_INFINITY else min(most, MAX_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    agent = NodeAgent(place, options, address[0] if address else "", idle_s=idle_s)

    def stop(number: int, frame: object) -> None:
        agent.is_stopping = True

    def tell() -> None:
        if tells >= 0:
            os.write(tells, READY)
            os.close(tells)

    sys.setswitchinterval(SWITCH_S)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if address is not None:
        agent.ship_to(address)
    return agent.run(tell)
