"""
Messages to an agent: datagrams, because who sends one never waits, and one that is lost costs a moment.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

MAX_MESSAGE = 8_192  # bytes: a path


class WakeupSocket:
    """Takes the messages for the agent whose folder this is. Raises OSError."""

    def __init__(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)
        self._path = path
        self._socket = _at(path, socket.socket.bind)

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._socket.fileno()

    def receive(self) -> list[str]:
        """Return the messages that are there: paths of journals, or "" to look now."""
        found: list[str] = []
        with suppress(BlockingIOError):
            while len(found) < 10_000:
                found.append(os.fsdecode(self._socket.recv(MAX_MESSAGE)))
        return found

    def close(self) -> None:
        """Take no more messages."""
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._path)


class WakeupSender:
    """Sends messages to the agent whose socket has this path. Raises OSError."""

    def __init__(self, path: str) -> None:
        self._socket = _at(path, socket.socket.connect)

    def send(self, message: str = "") -> bool:
        """Send a message; False when the agent cannot take it now."""
        try:
            self._socket.send(os.fsencode(message))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _at(path: str, do: object) -> socket.socket:
    """Return a socket that is bound or connected to a path of any length: the kernel takes 107 bytes."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    folder = -1
    try:
        made.setblocking(False)
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        do(made, f"/proc/self/fd/{folder}/{os.path.basename(path)}")  # type: ignore[operator]  # bind or connect
    except BaseException:
        made.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    return made
