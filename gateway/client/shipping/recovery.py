"""
Recover orphaned journals: of processes that were killed or offline, or copied here from another machine.

A journal whose lock is free is read again. Cuts that were written down are sent unchanged. The rest is cut at positions
and times that depend on the records alone, so that any process that adopts the journal or a copy of it, however often,
produces the same records. The end of a run whose process did not write it is appended. Damaged records are skipped and
counted.

When a cut that is not acknowledged cannot be repeated byte for byte, because its records or its entry are damaged, the
rest of the journal continues under a new producer: no identity ever has two contents, and no intact record is lost.
"""

from __future__ import annotations

import os
from functools import partial

from gateway.client.ids import uuid7
from gateway.client.journal.contents import JournalContents
from gateway.client.journal.cursor import CLOSED, ENDED, UNPUBLISHED, ShippingCursor, producer_of
from gateway.client.journal.folder import JournalLock, delete_folder, find_journals, journal_home
from gateway.client.journal.format import VERSION
from gateway.client.journal.grants import revoke_grants
from gateway.client.journal.hosts import check_host
from gateway.client.journal.ownership import find_meta, read_meta
from gateway.client.shipping.producer import Producer, crc_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.cursor import BatchBoundary
    from gateway.client.journal.entries import Marker
    from gateway.client.journal.readable import JournalPosition

REST_S = 0.004  # after each piece of a journal that is read while training runs; a piece takes about 1 ms
KILLED = "the process ended without finish(); its journal was sent afterwards"


class OrphanedPart:
    """The part of an orphaned journal that belongs to one producer, as that producer reads it."""

    def __init__(self, contents: JournalContents, cursor: ShippingCursor, run_id: str, *, is_last: bool) -> None:
        self.run_id = run_id
        self.is_trusted = False
        self.dropped = cursor.dropped  # with the damaged records before the last cut
        self.segments = contents.segments
        self.markers: list[Marker] = []
        self.cursor = cursor
        self._end = contents.tail if is_last else cursor.end
        self._folder = contents.folder if is_last else ""

    def tail(self) -> JournalPosition:
        """Return segment and offset of the end."""
        return self._end

    def prepare(self) -> None:
        """Do nothing: no process writes here."""

    def record_cut(self, boundary: BatchBoundary, points: int, *, is_last: bool = False) -> None:
        """Write down a cut, and the number of metric points up to its end."""
        self.cursor.lost = boundary.dropped - self.cursor.refused
        self.cursor.append(boundary, points, is_last=is_last)

    def pass_over(self, position: JournalPosition) -> None:
        """Do nothing: no caller waits for a position."""

    def acknowledge(
        self, seq: int, cuts: int, position: JournalPosition | None, points: int = 0, values: int = 0
    ) -> None:
        """
        Write down that the log has `cuts` more cuts, `points` and `values` more, all records below `seq`.

        Segments before `position` are deleted.
        """
        self.cursor.acknowledge(seq, cuts, points, values)
        if self._folder and position is not None:
            for number in [one for one in list(self.segments) if one < position[0]]:
                self.segments.pop(number).delete()

    def count_lost(self, count: int) -> None:
        """Count points or values that will never be sent."""
        self.dropped += count

    def remove(self) -> None:
        """Delete the journal, if this is its last part. All of it is acknowledged."""
        if self._folder:
            delete_folder(self._folder)


class OrphanedJournal:
    """An adopted journal. This process holds its lock."""

    def __init__(self, folder: str, lock: JournalLock, contents: JournalContents, producers: list[Producer]) -> None:
        self.folder = folder
        self.run_id = str(contents.meta["run_id"])
        self.address = (str(contents.meta.get("address", "")), str(contents.meta.get("topic", "")))
        self.total = contents.records  # points and values
        self.damaged = contents.damage.records
        self.producers = producers  # in this order
        self._lock = lock

    @property
    def is_done(self) -> bool:
        """Whether all of it is acknowledged."""
        return all(producer.is_done for producer in self.producers)

    @property
    def sent(self) -> int:
        """Number of acknowledged points and values."""
        return sum(one.acknowledged_points + one.acknowledged_values for one in self.producers)

    @property
    def acknowledged(self) -> int:
        """Number of acknowledged records, which shows whether there is progress."""
        return sum(one.acknowledged_records for one in self.producers)

    def delete(self) -> None:
        """Remove the rest of the folder, once all is acknowledged."""
        delete_folder(self.folder)

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()


def adopt(folder: str, *, rest_s: float = 0.0, other_hosts: bool = False) -> OrphanedJournal | None:
    """
    Return the journal of a folder, ready to be shipped; None when its owner is alive or it is empty.

    While it is read, this thread sleeps for `rest_s` seconds again and again. An empty journal is deleted. Raises
    OSError when the folder cannot be read or written, or is of a newer release, and OtherHost when a process of another
    host may have it; with `other_hosts` the caller knows that none does.
    """
    meta = find_meta(folder)
    if not other_hosts:
        check_host(meta, folder)
    if (written := meta.get("format", VERSION)) > VERSION:
        raise OSError(f"its format {written} is newer than this release: update tracking-gateway here")
    lock = JournalLock.try_acquire(folder)
    if lock is None:
        return None
    try:
        revoke_grants(folder, partial(_copy_cursors, folder))
        contents = JournalContents(folder, rest_s=rest_s)
        if not contents.segments:
            delete_folder(folder)
            lock.release()
            return None
        contents.meta.setdefault("run_id", _run_id_of(folder))
        producers = _make_producers(contents)
    except BaseException:  # the next process must be able to adopt it; the error is passed on
        lock.release()
        raise
    return OrphanedJournal(folder, lock, contents, producers)


def find_orphan(address: tuple[str, str], skipped: set[str]) -> OrphanedJournal | None:
    """
    Adopt and return a journal that a dead process of this host left for the same address; None when there is none.

    A large journal takes minutes, because this thread mostly rests: it must not take time from training. Folders that
    need not be examined again are added to `skipped`.
    """
    for folder in find_journals(journal_home()):
        if folder in skipped:
            continue
        meta = read_meta(folder)
        if (meta.get("address"), meta.get("topic")) != address:
            skipped.add(folder)
            continue
        try:
            orphan = adopt(folder, rest_s=REST_S)
        except Exception:  # noqa: BLE001 -- a folder in an unforeseen state: it stays for `gateway sync`, which names it
            orphan = None
            skipped.add(folder)
        if orphan is not None:
            return orphan
    return None


def _make_producers(contents: JournalContents) -> list[Producer]:
    """Return the producers of an orphaned journal in order. The last one cuts what is not cut yet."""
    run_id = str(contents.meta["run_id"])
    cursors = _open_cursors(contents.folder)
    numbers = sorted(cursors)
    made: list[Producer] = []
    for number in numbers:
        cursor = cursors[number]
        _skip_acknowledged(contents, cursor)
        break_at = _find_unrepeatable(contents, cursor, run_id)
        is_last = number == numbers[-1]
        if is_last and break_at is None and not cursor.is_damaged:
            return [*made, _make_last(contents, cursor, run_id)]
        if break_at is not None:
            cursor.cuts = break_at
        if is_last:
            numbers.append(number + 1)
            cursors[number + 1] = _create_successor(contents, number + 1, cursor)
        old = Producer(OrphanedPart(contents, cursor, run_id, is_last=False))
        old.is_closed = True
        made.append(old)
        if is_last:
            return [*made, _make_last(contents, cursors[number + 1], run_id)]
    fresh = ShippingCursor.create(contents.folder, 0, uuid7())
    fresh.publish()
    return [_make_last(contents, fresh, run_id)]


def _make_last(contents: JournalContents, cursor: ShippingCursor, run_id: str) -> Producer:
    """Return the producer of all uncut records, appending the run-ended and producer-closed events that are missing."""
    meta, time = contents.meta, contents.last_time or int(contents.meta.get("time", 0))
    closed_at, is_all_cut = contents.closed_at, cursor.end >= contents.tail
    is_closed = cursor.flags & CLOSED and is_all_cut if closed_at is None else closed_at < cursor.end
    if is_closed and not cursor.cuts and not is_all_cut:
        is_closed = False  # the producer before this one closed
    if not is_closed and (closed_at is None or closed_at < cursor.end):
        ends: list[dict[str, object]] = []
        if meta.get("is_owner") and not contents.is_ended and not cursor.flags & ENDED:
            ends.append({"kind": "run_killed", "time": time, "attempt": meta.get("attempt", 1), "message": KILLED})
        contents.append_events([*ends, {"kind": "producer_closed", "time": time}])
    producer = Producer(OrphanedPart(contents, cursor, run_id, is_last=True))
    producer.is_closed = bool(is_closed)
    return producer


def _skip_acknowledged(contents: JournalContents, cursor: ShippingCursor) -> None:
    """Count cuts as acknowledged whose segment is deleted: a damaged state no longer says that they are."""
    oldest = min(contents.segments)
    while cursor.is_damaged and cursor.acknowledged < cursor.cuts:
        boundary = cursor.read(cursor.acknowledged)
        if boundary is None or boundary.segment >= oldest:
            return
        cursor.acknowledged += 1
        cursor.seq = boundary.seq + boundary.events


def _create_successor(contents: JournalContents, number: int, old: ShippingCursor) -> ShippingCursor:
    """
    Return the cursor of a new producer, which begins after the last cut of the old one that can be repeated.

    What lies before that is sent by the old producer or acknowledged, so it is never sent a second time.
    """
    made = ShippingCursor.create(contents.folder, number, uuid7())
    made.end = _end_of_cuts(old)
    made.flags, made.refused, made.lost = old.flags & ENDED, old.refused, old.lost
    made.publish()
    return made


def _end_of_cuts(cursor: ShippingCursor) -> JournalPosition:
    """Return where the last cut ends, or the first one that cannot be repeated begins; (0, 0) when neither is known."""
    last = cursor.read(cursor.cuts - 1) if cursor.cuts else None
    if last is not None:
        return last.segment, last.end
    first = cursor.read(cursor.cuts)
    return (first.segment, first.start) if first is not None else (0, 0)


def _find_unrepeatable(contents: JournalContents, cursor: ShippingCursor, run_id: str) -> int | None:
    """Return the number of the first unacknowledged cut that cannot be repeated; None when all can."""
    for number in range(cursor.acknowledged, cursor.cuts):
        boundary = cursor.read(number)
        if boundary is None or boundary.segment not in contents.segments:
            return number
        part = OrphanedPart(contents, cursor, run_id, is_last=False)
        if crc_of(Producer(part).encode_cut(boundary)) != boundary.crc:
            return number
    return None


def _open_cursors(folder: str) -> dict[int, ShippingCursor]:
    """Return the cursors of a journal by the number in the file's name."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if producer_of(name) and not name.endswith(UNPUBLISHED):
            found[int(name.split(".")[1])] = ShippingCursor.open(os.path.join(folder, name))
    return found


def _copy_cursors(folder: str) -> None:
    """Move the cursors to new files, because an agent may still write to those that are there."""
    for cursor in _open_cursors(folder).values():
        cursor.move_to(folder)


def _run_id_of(folder: str) -> str:
    from urllib.parse import unquote

    return unquote(os.path.basename(os.path.dirname(os.path.abspath(folder)))) or "unknown"
