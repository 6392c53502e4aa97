"""
Report the client's own state: `Run.health`, and the warning about unsent events when `finish` stops waiting.
"""

from __future__ import annotations

from gateway.client.journal.format import EVENT, scan
from gateway.client.notices import counts, warn, warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.journal.journal import Journal
    from gateway.client.recording.recorder import Recorder
    from gateway.client.recording.report import Report
    from gateway.client.recording.shipped_journal import AnyShipper

LOST = "in memory only and lost when this process ends: give the journal a disk with room, or point GATEWAY_JOURNAL_DIR"


def health(recorder: Recorder) -> dict[str, Any]:
    """Return the dict of `Run.health`: counts, the address, whether it is connected, the last error."""
    report, shipper = recorder.count(), recorder.shipper
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


def warn_unsent(recorder: Recorder, report: Report) -> None:
    """Warn on stderr about points and events that are not acknowledged, and name where they are kept."""
    run_id, shipper, producer = recorder.run_id, recorder.shipper, recorder.producer
    if producer is not None and producer.is_done:
        return
    if shipper is None and not recorder.journal.segments:
        return  # a forked child that has recorded nothing
    is_kept, missing = bool(report.journal), f"{report.unsent:,} of {report.emitted:,} points are not in"
    label = shipper.address.label if shipper is not None else "the log"
    if not is_kept:
        warn(f"run {run_id}: {missing} {label} ({_why(shipper)}) and are {LOST} to a folder on one")
    elif shipper is not None and shipper.is_offline:
        warn_once("offline", f"events are kept in {report.journal}: `gateway sync` sends them to the log")
    else:
        kept = f"stay in {report.journal}: `gateway sync` or the next process here sends them"
        warn(f"run {run_id}: {missing} {label} ({_why(shipper)}) and {kept}")
    unkept = _events_in_memory(recorder.journal)  # because the disk had no room
    if is_kept and unkept:
        warn(f"run {run_id}: {unkept:,} events about it (params, its end, …) are {LOST} to one")


def _events_in_memory(journal: Journal) -> int:
    """Return the number of events about the run that are not acknowledged and in no file."""
    held = [one for one in list(journal.segments.values()) if journal.folder and not one.path]
    return sum(found.kind == EVENT for one in held for found in scan(memoryview(one.map), one.first, one.size))


def warn_unmeasured(recorder: Recorder) -> None:
    """Warn on stderr about artifacts whose digest `finish` does not wait for any longer."""
    count = len(recorder.unmeasured)
    names = ", ".join([name for name, _, _ in list(recorder.unmeasured)][:3])
    warn_once(
        "digest",
        f"run {recorder.run_id}: {count:,} artifacts ({names:.200}) are recorded without size and sha256, which follow "
        "if this process continues: give finish() more time, or raise GATEWAY_FINISH_TIMEOUT_S",
    )


def _why(shipper: AnyShipper | None) -> str:
    if shipper is None:
        return "no thread could be started"
    if shipper.is_offline:
        return "no address is set: set GATEWAY_URL, or start the local stack with `gateway up`"
    return "there was not enough time" if shipper.is_connected else shipper.last_error or "there was not enough time"
