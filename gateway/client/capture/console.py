"""
Record the lines a program writes to sys.stdout and sys.stderr as text events. A failure here does not affect `print`.

A proxy replaces the stream: it passes everything through first, then keeps complete lines until the next flush. Of a
progress bar that redraws itself with carriage returns, the last state is kept. Output that C code writes to the file
descriptors is not seen, nor is output of forked children.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from threading import Lock
from time import time_ns

from gateway.client.encoding.values import clean
from gateway.client.journal.series import MAIN
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO

    from gateway.client.recording.recorder import Recorder

EVERY_S = 1.0  # between two flushes
MAX_LINE = 8_192  # characters; the rest of a longer line is left out
MAX_WAITING = 20_000  # lines until the next flush; more are left out and counted
MAX_LINES = 500  # in one event
MAX_EVENT = 131_072  # characters in one event
STREAMS = ("stdout", "stderr")


class Tee:
    """A proxy for a stream that keeps the lines written to it. All other access goes to the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._written: deque[str] = deque()  # not split into lines yet
        self._keeping = Lock()  # taken, without waiting, by the call that does that
        self._waiting: deque[tuple[int, str]] = deque()
        self._open = ""  # the last line, while it has not ended; \r at its end: what follows replaces it
        self._process = os.getpid()
        self.is_on = True
        self.left_out = 0

    def write(self, text: str) -> int:
        """Write to the stream, and keep the lines. Raises what the stream raises."""
        written = self._stream.write(text)
        if self.is_on and issubclass(type(text), str) and os.getpid() == self._process:
            self._keep(str.__str__(text))
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def _keep(self, text: str) -> None:
        # Another thread may be here, or this one, when a signal handler prints: then that call keeps this text, too.
        self._written.append(text)
        while self._written and self._keeping.acquire(blocking=False):
            try:
                while self._written:
                    self._add(self._written.popleft())
            finally:
                self._keeping.release()

    def _add(self, text: str) -> None:
        *lines, rest = (self._open + text).split("\n")
        self._open = _as_displayed(rest)[-MAX_LINE:] + ("\r" if rest.endswith("\r") else "")
        for line in lines:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append((max(0, time_ns() // 1_000), _as_displayed(line)[:MAX_LINE]))
            else:
                self.left_out += 1

    def take(self, *, is_last: bool) -> list[tuple[int, str]]:
        """Return the complete lines since the last call, and if `is_last` the unfinished one too, with times in µs."""
        if is_last and (line := _as_displayed(self._open)):
            self._waiting.append((max(0, time_ns() // 1_000), line[:MAX_LINE]))
            self._open = ""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


class Console:
    """Captures both streams of the process for one run."""

    every_s = EVERY_S

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tees: dict[str, Tee] = {}
        for name in STREAMS:
            stream = getattr(sys, name, None)
            if stream is not None:  # None in a program without a console, for example pythonw
                self._tees[name] = Tee(stream)
                setattr(sys, name, self._tees[name])

    def flush(self) -> None:
        """Record the lines since the last flush."""
        self._record(is_last=False)

    def stop(self) -> None:
        """Restore the streams, unless the program has replaced them since, and record the last lines."""
        for name, tee in self._tees.items():
            tee.is_on = False
            stream = getattr(sys, name, None)
            if stream is tee:
                setattr(sys, name, _behind_ended(tee))
            while type(stream) is Tee:  # those of runs that began later: each call of a long chain takes a stack frame
                stream._stream = stream = _behind_ended(stream._stream)
        self._record(is_last=True)

    def _record(self, *, is_last: bool) -> None:
        for name, tee in self._tees.items():
            lines = tee.take(is_last=is_last)
            for part in _parts(lines):
                self._recorder.record_at(
                    "text",
                    part[-1][0],
                    step_name=MAIN,
                    attempt=self._recorder.attempt,
                    stream=name,
                    lines=[clean(line) for _, line in part],
                    times=[time for time, _ in part],
                )
            if tee.left_out:
                warn_once("console", f"{name}: {tee.left_out:,} lines came faster than they can be kept: left out")


def _behind_ended(stream: Any) -> Any:
    """Return the stream itself, or the first behind it that is no tee of an ended capture."""
    while type(stream) is Tee and not stream.is_on:
        stream = stream._stream
    return stream


def _as_displayed(line: str) -> str:
    """Return a line as a terminal displays it after carriage returns."""
    return line.rstrip("\r").rpartition("\r")[2] if "\r" in line else line


def _parts(lines: list[tuple[int, str]]) -> list[list[tuple[int, str]]]:
    parts: list[list[tuple[int, str]]] = []
    size = MAX_EVENT
    for line in lines:
        size += len(line[1])
        if size > MAX_EVENT or len(parts[-1]) >= MAX_LINES:
            parts.append([])
            size = len(line[1])
        parts[-1].append(line)
    return parts
