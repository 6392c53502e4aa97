"""
Ship the journals of a folder that nobody else ships: `gateway sync`.

Journals whose owner lives are left alone and counted. One after the other is adopted, sent, and deleted once the log
has all of it; killed at any moment, the next sync goes on.
"""

from __future__ import annotations

from time import monotonic, sleep

from gateway.client.journal.folder import find_journals, is_held
from gateway.client.shipping.recovery import OrphanedJournal, adopt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.client.shipping.shipper import Shipper

POLL_S = 0.02


class SyncResult:
    """What became of the journals of a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.journals = 0  # shipped whole and deleted
        self.points = 0  # points and values the log has now
        self.damaged = 0  # records that were not intact
        self.held: list[str] = []  # journals whose owner lives
        self.unsent: list[str] = []  # journals that are still there, with the reason
        self.runs: set[str] = set()

    def to_json(self) -> dict[str, object]:
        """Return the facts as JSON holds them."""
        return {
            "folder": self.folder,
            "journals": self.journals,
            "runs": sorted(self.runs),
            "points": self.points,
            "damaged_records": self.damaged,
            "held": self.held,
            "unsent": self.unsent,
        }


def sync(
    folder: str, shipper: Shipper, *, timeout_s: float, progress: Callable[[str, int, int], None] | None = None
) -> SyncResult:
    """
    Ship every journal in a folder that nobody holds; give up `timeout_s` seconds after the last acknowledgement.

    `progress` is told the run, how many of its points and values are sent, and how many there are.
    """
    done = SyncResult(folder)
    for one in list(find_journals(folder, done.unsent)):
        unsent = len(done.unsent)
        try:
            left = adopt(one)
        except OSError as error:
            done.unsent.append(f"{one}: {error}")
            continue
        if left is None:
            if is_held(one):
                done.held.append(one)
            continue
        try:
            _ship(left, shipper, done, timeout_s, progress)
        finally:
            left.close()
        if len(done.unsent) > unsent:
            break  # the log is away: the others would wait as long
    return done


def _ship(
    left: OrphanedJournal,
    shipper: Shipper,
    done: SyncResult,
    timeout_s: float,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    shipper.adopt(left)
    seen, since = -1, monotonic()
    while not left.is_done:
        if progress is not None:
            progress(left.run_id, left.sent, left.records)
        if (now_sent := left.acknowledged) != seen:
            seen, since = now_sent, monotonic()
        elif monotonic() > since + timeout_s:
            done.unsent.append(f"{left.folder}: {shipper.last_error or 'no acknowledgement'}")
            break
        sleep(POLL_S)
    else:
        left.delete()
        done.journals += 1
    if progress is not None:
        progress(left.run_id, left.sent, left.records)
    done.points += left.sent
    done.damaged += left.damaged
    done.runs.add(left.run_id)
