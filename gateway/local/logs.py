"""
Read the logs of a stack: their last lines, and lines added later. JSON lines are shown as text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import sleep

from gateway.local.home import tail
from schemas.runtime.logs import readable

FOLLOW_POLL_S = 0.2


def last_lines(logs: dict[str, Path], count: int, *, prefix: bool) -> Iterator[str]:
    """Yield the last `count` lines of each log."""
    for name, path in logs.items():
        for line in tail(path, count) if count else []:
            yield _line(name, line, prefix)


def follow_logs(logs: dict[str, Path], *, prefix: bool) -> Iterator[str]:
    """Yield each added line, forever. A log that is replaced or truncated is read from its start."""
    positions = {name: _end(path) for name, path in logs.items()}
    while True:
        for name, path in logs.items():
            lines, positions[name] = _added(path, positions[name])
            for line in lines:
                yield _line(name, line, prefix)
        sleep(FOLLOW_POLL_S)


def _line(name: str, line: str, prefix: bool) -> str:
    text = readable(line)
    return "\n".join(f"{name} | {part}" for part in text.split("\n")) if prefix else text


def _end(path: Path) -> tuple[int, int]:
    """Return the position of the end of a file: (inode, offset in bytes)."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_ino, stat.st_size


def _added(path: Path, position: tuple[int, int]) -> tuple[list[str], tuple[int, int]]:
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            inode, offset = position
            if stat.st_ino != inode or stat.st_size < offset:
                offset = 0
            file.seek(offset)
            whole, newline, _rest = file.read().rpartition(b"\n")
    except OSError:
        return [], position
    text = (whole + newline).decode("utf-8", errors="replace")
    return text.split("\n")[:-1], (stat.st_ino, offset + len(whole) + len(newline))
