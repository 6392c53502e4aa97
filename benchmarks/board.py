"""
Numbers that the processes of a benchmark share: 64-bit integers in a small file that all of them map.

Uses only the standard library, because producers open it too.
"""

from __future__ import annotations

import mmap
from pathlib import Path

START, STOP = 0, 1  # of the head: when to start, ns since 1970 (0: not yet); 1 when producers must end now
READY, EMITTED, VISIBLE, SENT, DROPPED, CPU_US, BEGAN = range(7)  # of a producer
HEAD, ROW = 2, 7


class Board:
    """The shared numbers. Each has one writer, and writes of aligned words are atomic."""

    def __init__(self, path: Path, producers: int) -> None:
        self.producers = producers
        size = 8 * (HEAD + ROW * producers)
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._words = memoryview(self._map).cast("q")

    def head(self, what: int) -> int:
        """Return a number of the head, which all processes share."""
        return self._words[what]

    def set_head(self, what: int, value: int) -> None:
        """Write a number of the head."""
        self._words[what] = value

    def get(self, producer: int, what: int) -> int:
        """Return a number of one producer."""
        return self._words[HEAD + ROW * producer + what]

    def set(self, producer: int, what: int, value: int) -> None:
        """Write a number of one producer."""
        self._words[HEAD + ROW * producer + what] = value

    def column(self, what: int) -> list[int]:
        """Return a number of every producer."""
        return [self.get(producer, what) for producer in range(self.producers)]
