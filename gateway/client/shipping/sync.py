"""
Ship the journals of a folder that no live process ships: `gateway sync`.

Journals whose owner is alive are left alone and counted. The others are adopted one after the other, sent, and deleted
once the log has all of their events. If this process is killed at any moment, the next sync continues.
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
    """How many journals of a folder were shipped, and which were not."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.journals = 0  # completely shipped and deleted
        self.points = 0  # points and values that the log has now
        self.damaged = 0  # records that were not intact
        self.held: list[str] = []  # journals whose owner is alive
        self.unsent: list[str] = []  # journals that still exist, with the reason
        self.runs: set[str] = set()

    def to_json(self) -> dict[str, object]:
        """Return the result as a JSON object."""
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
    folder: str,
    shipper: Shipper,
    *,
    timeout_s: float,
    progress: Callable[[str, int, int], None] | None = None,
    other_hosts: bool = False,
) -> SyncResult:
    """
    Ship every journal in a folder that no process holds; give up `timeout_s` seconds after the last acknowledgement.

    `progress` is called with the run, the number of its points and values that are sent, and their total. With
    `other_hosts` the caller knows that no process of another host lives.
    """
    done = SyncResult(folder)
    for one in list(find_journals(folder, done.unsent)):
        try:
            orphan = adopt(one, other_hosts=other_hosts)
            if orphan is None and is_held(one):
                done.held.append(one)
            elif orphan is None:  # empty, or its holder has just let it go
                orphan = adopt(one, other_hosts=other_hosts)
        except Exception as error:  # noqa: BLE001 -- a journal in an unforeseen state is named, and the others are sent
            done.unsent.append(f"{one}: {error if isinstance(error, OSError) else repr(error)}")
            continue
        if orphan is None:
            continue
        try:
            is_log_away = not _ship(orphan, shipper, done, timeout_s, progress)
        finally:
            orphan.close()
        if is_log_away:
            break  # the other journals would wait just as long
    return done


def _ship(
    orphan: OrphanedJournal,
    shipper: Shipper,
    done: SyncResult,
    timeout_s: float,
    progress: Callable[[str, int, int], None] | None,
) -> bool:
    """Ship a journal; return False when the log did not take it in time."""
    shipper.adopt(orphan)
    is_taken = True
    seen, since = -1, monotonic()
    while not orphan.is_done:
        if progress is not None:
            progress(orphan.run_id, orphan.sent, orphan.total)
        if (now_sent := orphan.acknowledged) != seen:
            seen, since = now_sent, monotonic()
        elif monotonic() > since + timeout_s:
            done.unsent.append(f"{orphan.folder}: {shipper.last_error or 'no acknowledgement'}")
            is_taken = False
            break
        if reason := shipper.give_up(orphan):
            done.unsent.append(f"{orphan.folder}: {reason}: keep it and report this")
            break
        sleep(POLL_S)
    else:
        orphan.delete()
        done.journals += 1
    if progress is not None:
        progress(orphan.run_id, orphan.sent, orphan.total)
    done.points += orphan.sent
    done.damaged += orphan.damaged
    done.runs.add(orphan.run_id)
    return is_taken
