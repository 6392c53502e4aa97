"""
How a run ended, and what became of the points and values emitted to it.
"""

from __future__ import annotations

from gateway.client.encoding.values import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Status = Literal["finished", "failed", "killed"]

STATUSES = ("finished", "failed", "killed")
MAX_ERROR_TEXT = 4_000  # characters


class Report:
    """What became of the points and values that this process emitted to a run."""

    __slots__ = ("dropped", "emitted", "journal", "sent", "unsent")

    def __init__(self, *, emitted: int, sent: int, dropped: int, journal: str = "") -> None:
        self.emitted = emitted
        self.sent = sent  # acknowledged by the log
        self.dropped = dropped  # refused because a bound was reached
        self.unsent = max(0, emitted - sent - dropped)  # still in the journal
        self.journal = journal  # folder of the journal; "" if it is in memory

    def __repr__(self) -> str:
        return f"Report(emitted={self.emitted}, sent={self.sent}, unsent={self.unsent}, dropped={self.dropped})"


def _is_success(code: object) -> bool:
    """Return whether Python leaves with exit code 0: for "" or 0.0, which it prints, it leaves with 1."""
    return code is None or (isinstance(code, int) and not code)


def status_of(error: BaseException | None) -> tuple[Status, str]:
    """Return status and message of a run that `error` ended. Leaving with exit code 0 counts as finished."""
    if error is None or (isinstance(error, SystemExit) and _is_success(error.code)):
        return "finished", ""
    kind, text = type(error).__name__, text_of(error)
    message = f"{kind}: {text}" if text else kind
    return ("killed" if isinstance(error, KeyboardInterrupt) else "failed"), message[:MAX_ERROR_TEXT]
