"""
How the start of a stack reports its progress: one line per service, and the bytes of a download.

The command line draws bars from it; the supervisor and tests discard it.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a start. Methods may be called from other threads."""

    def download(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """`done_bytes` of `total_bytes` of `what` have arrived."""

    def report(self, line: str) -> None:
        """Something has happened that a person may want to read."""


class Quiet:
    """A progress that discards everything."""

    def download(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Do nothing."""

    def report(self, line: str) -> None:
        """Do nothing."""
