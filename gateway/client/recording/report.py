"""How a run ended, and what became of what was emitted."""

from __future__ import annotations

from gateway.client.encoding.values import text_of
from gateway.client.notices import counts, warn, warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from gateway.client.run.run import Run
    from gateway.client.shipping.producer import Producer
    from gateway.client.shipping.shipper import Shipper

    Status = Literal["finished", "failed", "killed"]

STATUSES = ("finished", "failed", "killed")
MAX_ERROR_TEXT = 4_000  # characters
LOST = "in memory only and lost when this process ends: give the journal a disk with room, or point GATEWAY_JOURNAL_DIR"


class Report:
    """What became of the points and values this process emitted to a run."""

    __slots__ = ("dropped", "emitted", "journal", "sent", "unsent")

    def __init__(self, *, emitted: int, sent: int, dropped: int, journal: str = "") -> None:
        self.emitted = emitted
        self.sent = sent  # acknowledged by the log
        self.dropped = dropped  # refused at a bound
        self.unsent = max(0, emitted - sent - dropped)  # still in the journal
        self.journal = journal  # folder of the journal; "" when it is in memory

    def __repr__(self) -> str:
        return f"Report(emitted={self.emitted}, sent={self.sent}, unsent={self.unsent}, dropped={self.dropped})"


def health(run: Run) -> dict[str, Any]:
    """Return what the client knows of itself: counts, the address, whether it is reached, the last error."""
    report, shipper = run._count(), run._shipper
    return {
        "emitted": report.emitted,
        "sent": report.sent,
        "unsent": report.unsent,
        "dropped": report.dropped,
        "journal": report.journal,
        "address": shipper.address.url if shipper else "",
        "topic": shipper.address.topic if shipper else "",
        "connected": shipper.is_connected if shipper else False,
        "last_error": shipper.last_error if shipper else "",
        "notices": dict(counts),
    }


def status_of(error: BaseException | None) -> tuple[Status, str]:
    """Return how a run ended that `error` ended, and what to say of it. Leaving with exit code 0 is a good end."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "finished", ""
    kind, text = type(error).__name__, text_of(error)
    message = f"{kind}: {text}" if text else kind
    return ("killed" if isinstance(error, KeyboardInterrupt) else "failed"), message[:MAX_ERROR_TEXT]


def tell(run_id: str, report: Report, shipper: Shipper | None, producer: Producer | None, *, unkept: int) -> None:
    """Say on stderr what is left when finish() gives up waiting; `unkept` events of it are not in its folder."""
    if producer is not None and producer.is_done:
        return
    is_kept, missing = bool(report.journal), f"{report.unsent:,} of {report.emitted:,} points are not in"
    label = shipper.address.label if shipper is not None else "the log"
    if not is_kept:
        warn(f"run {run_id}: {missing} {label} ({_why(shipper)}) and are {LOST} to a folder on one")
    elif shipper is not None and shipper.is_offline:
        warn_once("offline", f"events are kept in {report.journal}: `gateway sync` sends them to the log")
    else:
        kept = f"stay in {report.journal}: `gateway sync` or the next process here sends them"
        warn(f"run {run_id}: {missing} {label} ({_why(shipper)}) and {kept}")
    if is_kept and unkept:
        warn(f"run {run_id}: {unkept:,} events about it (params, its end, …) are {LOST} to one")


def _why(shipper: Shipper | None) -> str:
    if shipper is None:
        return "no thread could be started"
    if shipper.is_offline:
        return "no address is set: set GATEWAY_URL, or start the local stack with `gateway up`"
    return "there was not enough time" if shipper.is_connected else shipper.last_error or "there was not enough time"
