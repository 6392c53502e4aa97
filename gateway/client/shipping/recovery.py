"""
Journals that somebody left: killed, offline, or carried here from elsewhere.

A journal whose lock is free is read again. Cuts that were written down are sent as they were; the rest is cut at places
and with times that depend on the records alone, so that whoever adopts it, here or from a copy, once or twice, gives
the same records. The end of a run whose process never told it is added. What is damaged is skipped and counted.

When a cut that is not acknowledged cannot be repeated byte for byte, because its records or its entry are damaged, the
rest of the journal goes on under a new producer: no identity ever has two contents, and no intact record is lost.
"""

from __future__ import annotations

import os

from gateway.client.ids import uuid7
from gateway.client.journal.contents import JournalContents, read_meta
from gateway.client.journal.cursor import CLOSED, CURSOR_PREFIX, ENDED, ShippingCursor
from gateway.client.journal.folder import JournalLock, delete_folder, find_journals, journal_home
from gateway.client.journal.segment import AHEAD
from gateway.client.shipping.producer import Producer, crc_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.cursor import BatchBoundary
    from gateway.client.journal.entries import Marker
    from gateway.client.journal.readable import JournalPosition

MAX_LEFT_BYTES = 33_554_432  # of a journal that is adopted beside training
KILLED = "the process ended without finish(); its journal was sent afterwards"


class OrphanedPart:
    """What one producer has of a left journal, as a producer reads it."""

    def __init__(self, contents: JournalContents, cuts: ShippingCursor, run_id: str, *, is_last: bool) -> None:
        self.run_id = run_id
        self.is_trusted = False
        self.dropped = cuts.dropped + contents.damage.records
        self.segments = contents.segments
        self.markers: list[Marker] = []
        self.cuts: ShippingCursor | None = cuts
        self._file = cuts
        self._end = contents.tail if is_last else cuts.end
        self._folder = contents.folder if is_last else ""
        self.is_removed = False

    def tail(self) -> JournalPosition:
        """Return segment and offset of the end."""
        return self._end

    def prepare(self) -> None:
        """Do nothing: nobody writes here."""

    def record(self, cut: BatchBoundary, points: int) -> None:
        """Write down a cut, and how many metric points there are with it."""
        self._file.append(cut, points)

    def acknowledge(self, seq: int, cuts: int, place: JournalPosition | None) -> None:
        """Write down that the log has `cuts` more cuts, all records below `seq`; delete what is before `place`."""
        self._file.seq = seq
        self._file.acknowledged += cuts
        self._file.save()
        if self._folder and place is not None:
            for number in [one for one in self.segments if one < place[0]]:
                self.segments.pop(number).delete()

    def lose(self, count: int) -> None:
        """Count points or values that will never be sent."""
        self.dropped += count

    def remove(self) -> None:
        """Delete the journal: all of it is acknowledged."""
        if self._folder:
            delete_folder(self._folder)
        self.is_removed = True


class OrphanedJournal:
    """A journal that is adopted: its lock is held here."""

    def __init__(self, folder: str, lock: JournalLock, contents: JournalContents, producers: list[Producer]) -> None:
        self.folder = folder
        self.run_id = str(contents.meta["run_id"])
        self.address = (str(contents.meta.get("address", "")), str(contents.meta.get("topic", "")))
        self.records = contents.records
        self.damaged = contents.damage.records
        self.producers = producers  # in this order
        self._lock = lock

    @property
    def is_done(self) -> bool:
        """Whether all of it is acknowledged."""
        return all(producer.is_done for producer in self.producers)

    @property
    def sent(self) -> int:
        """How many points and values are acknowledged."""
        return sum(one.acknowledged_points + one.acknowledged_values for one in self.producers)

    @property
    def acknowledged(self) -> int:
        """How many records are acknowledged, for seeing whether it goes on."""
        return sum(one.acknowledged_batches for one in self.producers)

    def delete(self) -> None:
        """Remove what is left of the folder, when all is acknowledged."""
        delete_folder(self.folder)

    def close(self) -> None:
        """Let go of the lock."""
        self._lock.release()


def adopt(folder: str) -> OrphanedJournal | None:
    """
    Return the journal of a folder, ready to be shipped; None when its owner lives, or nothing is in it.

    An empty one is deleted. Raises OSError when the folder cannot be read or written.
    """
    lock = JournalLock.take(folder)
    if lock is None:
        return None
    try:
        contents = JournalContents(folder)
        if not contents.segments:
            delete_folder(folder)
            lock.release()
            return None
        contents.meta.setdefault("run_id", _run_id_of(folder))
        producers = _producers(contents)
    except BaseException:  # whoever comes next must be able to adopt it; the error goes on
        lock.release()
        raise
    return OrphanedJournal(folder, lock, contents, producers)


def find_orphan(address: tuple[str, str], not_again: set[str]) -> OrphanedJournal | None:
    """
    Return a journal that a dead process of this host left for the same address, adopted; None when there is none.

    Large ones are left to `gateway sync`: reading one would take time from training. `not_again` remembers folders
    that are not to be looked at twice.
    """
    for folder in find_journals(journal_home()):
        if folder in not_again:
            continue
        meta = read_meta(folder)
        if (meta.get("address"), meta.get("topic")) != address or _size(folder) > MAX_LEFT_BYTES:
            not_again.add(folder)
            continue
        try:
            left = adopt(folder)
        except OSError:
            left = None
            not_again.add(folder)
        if left is not None:
            return left
    return None


def _size(folder: str) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat().st_size for entry in entries if not entry.name.endswith(AHEAD))
    except OSError:
        return 0


def _producers(contents: JournalContents) -> list[Producer]:
    """Return the producers of a left journal, the one that goes on last."""
    run_id = str(contents.meta["run_id"])
    files = _cuts_in(contents.folder)
    numbers = sorted(files)
    made: list[Producer] = []
    for number in numbers:
        cuts = files[number]
        break_at = _first_that_differs(contents, cuts, run_id)
        is_last = number == numbers[-1]
        if is_last and break_at is None and not cuts.is_damaged:
            return [*made, _last(contents, cuts, run_id)]
        if break_at is not None:
            cuts.cut = break_at
        if is_last:
            numbers.append(number + 1)
            files[number + 1] = _go_on(contents, number + 1, cuts)
        old = Producer(OrphanedPart(contents, cuts, run_id, is_last=False))
        old.is_closed = True
        made.append(old)
        if is_last:
            return [*made, _last(contents, files[number + 1], run_id)]
    fresh = ShippingCursor.create(contents.folder, 0, uuid7())
    fresh.publish()
    return [_last(contents, fresh, run_id)]


def _last(contents: JournalContents, cuts: ShippingCursor, run_id: str) -> Producer:
    """Return the producer of everything that is not cut, with the ends added that nobody told."""
    meta, time = contents.meta, contents.last_time or int(contents.meta.get("time", 0))
    closed_at, everything = contents.closed_at, cuts.end >= contents.tail
    is_told = cuts.flags & CLOSED and everything if closed_at is None else closed_at < cuts.end
    if is_told and not cuts.cut and not everything:
        is_told = False  # by the producer before this one
    if not is_told and (closed_at is None or closed_at < cuts.end):
        ends: list[dict[str, object]] = []
        if meta.get("is_owner") and not contents.is_ended and not cuts.flags & ENDED:
            ends.append({"kind": "run_killed", "time": time, "attempt": meta.get("attempt", 1), "message": KILLED})
        contents.add([*ends, {"kind": "producer_closed", "time": time}])
    producer = Producer(OrphanedPart(contents, cuts, run_id, is_last=True))
    producer.is_closed = bool(is_told)
    return producer


def _go_on(contents: JournalContents, number: int, old: ShippingCursor) -> ShippingCursor:
    """Return the cuts of a new producer, from where the old one's can be repeated to."""
    made = ShippingCursor.create(contents.folder, number, uuid7())
    last = old.read(old.cut - 1) if old.cut else None
    made.end = (last.segment, last.end) if last is not None else (0, 0)
    made.flags, made.dropped = old.flags & ENDED, old.dropped
    made.publish()
    return made


def _first_that_differs(contents: JournalContents, cuts: ShippingCursor, run_id: str) -> int | None:
    """Return the first cut, not acknowledged, that cannot be repeated; None when all can."""
    for number in range(cuts.acknowledged, cuts.cut):
        cut = cuts.read(number)
        if cut is None or cut.segment not in contents.segments:
            return number
        part = OrphanedPart(contents, cuts, run_id, is_last=False)
        if crc_of(Producer(part).encode_whole(cut)) != cut.crc:
            return number
    return None


def _cuts_in(folder: str) -> dict[int, ShippingCursor]:
    """Return the files of cuts by their number."""
    found = {}
    for name in sorted(os.listdir(folder)):
        parts = name.split(".")
        if name.startswith(CURSOR_PREFIX) and len(parts) == 3 and parts[1].isdigit():
            try:
                bytes.fromhex(parts[2].replace("-", ""))
                found[int(parts[1])] = ShippingCursor.open(os.path.join(folder, name))
            except ValueError:
                continue  # somebody else's file
    return found


def _run_id_of(folder: str) -> str:
    from urllib.parse import unquote

    return unquote(os.path.basename(os.path.dirname(os.path.abspath(folder)))) or "unknown"
