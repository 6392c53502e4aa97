"""
Ports of a stack: free ones at the first start, the same ones at every later start.
"""

from __future__ import annotations

import itertools
import random
import socket

import psutil

from schemas.errors import StackError

HOST = "127.0.0.1"
# Below the range that Linux (32768) and macOS (49152) use for outgoing connections, which could take a remembered port
# before the next start.
RANGE = range(20_000, 30_000)
_given: dict[int, int] = {}  # by port: when this process was last given it, as a count
_count = itertools.count()


def free_ports(count: int) -> list[int]:
    """
    Return `count` different ports on which no process listens now. Raises StackError.

    Ports that this process was given earlier come last: their server may not listen yet.
    """
    candidates = sorted(random.sample(RANGE, len(RANGE)), key=lambda port: _given.get(port, -1))
    found = list(itertools.islice((port for port in candidates if is_free(port)), count))
    if len(found) < count:
        raise StackError(
            f"no free port between {RANGE.start} and {RANGE.stop - 1}: end some of the servers that use them"
        )
    _given.update(zip(found, _count, strict=False))
    return found


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket() as probe:
        # Servers set this too; without it a port is busy for a minute after its last connection ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Name the process that listens on this port, as `name (pid 123)`; best effort."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.AccessDenied, OSError):  # macOS shows other users' sockets only to root
        return "another process"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return _describe(connection.pid)
    return "another process"


def _describe(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return f"pid {pid}"
