"""
How long work tells its caller where it is: a line per service, bytes of a download.

The command line draws bars with it; the supervisor and tests stay quiet.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a caller may want to hear while a stack starts. Methods may be called from other threads."""

    def download(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """`done_bytes` of `total_bytes` of `what` have arrived."""

    def say(self, line: str) -> None:
        """One thing has happened, in the reader's words."""


class Quiet:
    """A progress that nobody watches."""

    def download(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""
