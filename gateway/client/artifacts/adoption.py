"""
A thread that uploads what earlier processes of this home have left, while training runs.

It starts with a run if something waits, and ends when nothing does. What cannot be uploaded now is tried again later.
"""

from __future__ import annotations

import os
import threading

from gateway.client.artifacts.orphans import OrphanedUploads
from gateway.client.artifacts.pending import find_pending
from gateway.client.guards import warn_lost
from gateway.client.journal.folder import journal_home
from gateway.client.notices import warn_once
from gateway.client.recording.background import THREAD_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.address import Address

RETRY_S = (1.0, 30.0)  # first and longest pause: the journal of the dead process is sent first

_running: dict[tuple[str, str], int] = {}  # by URL and topic: the process that has the thread


def start_adoption(address: Address) -> threading.Thread | None:
    """Upload in the background what was to be sent to this address; None if a thread does so already, or none can."""
    key = (address.url, address.topic)
    if _running.get(key) == os.getpid() or not address.keeps:
        return None
    _running[key] = os.getpid()
    thread = threading.Thread(target=_adopt, args=(address,), name=THREAD_NAME, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread is left, or the interpreter is exiting
        _running.pop(key, None)
        return None
    return thread


def _adopt(address: Address) -> None:
    try:
        home, timer, pause = journal_home(), threading.Event(), RETRY_S[0]
        while find_pending(home):
            found = OrphanedUploads(home, address, is_any_address=False).upload()
            for lost in found.lost:
                warn_once(
                    "artifact-lost", f"an artifact of an earlier process is not stored ({lost}): it is a reference"
                )
            if not found.waiting:
                return
            timer.wait(pause)
            pause = min(2 * pause, RETRY_S[1])
    except Exception as error:  # noqa: BLE001 -- the edge of the thread: what waits stays for `gateway sync`, which names it
        warn_lost("artifact-upload", "artifacts of earlier processes could not be stored", error)
    finally:
        _running.pop((address.url, address.topic), None)
