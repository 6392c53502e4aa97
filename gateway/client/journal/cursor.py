"""
The shipping cursor of a producer, file `cuts.NNNN`: where it cut its journal, what is acknowledged, what was dropped.

The file never grows. It holds a state and a ring of the cuts that are not acknowledged, written by the process that
ships, and what the owner of the journal knows. A cut is written here before its records are sent, with the CRC of their
bytes. A process that sends them again after a crash therefore sends the same bytes, or learns that it cannot.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from zlib import crc32

from gateway.client.journal.blocks import (
    STATE_AT,
    read_owner,
    read_report,
    read_state,
    report_version,
    unpack_state,
    write_owner,
    write_report,
    write_state,
)
from gateway.client.journal.segment import allocate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CURSOR_PREFIX = "cuts."
UNPUBLISHED = ".new"
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
RING = 1_024  # cuts not acknowledged, at most
RING_AT = 8_192
ENDED, CLOSED = 1, 2  # flags of the state: the journal holds the run's end, and the producer's
CUT_CLOSED = 4  # ... and the producer's end is cut

# CRC, segment, start, end, events, CRC of the records' bytes, seq, time, points, dropped, number of the cut, 0.
_CUT = struct.Struct("<IIIIIIQQQQII")
CUT_BYTES = 64
COPIES = 8  # attempts to copy a file to which another process may be writing
FILE_BYTES = RING_AT + RING * CUT_BYTES


class BatchBoundary:
    """One cut: a range of one segment, and the records it became."""

    __slots__ = ("crc", "dropped", "end", "events", "points", "segment", "seq", "start", "time")

    def __init__(  # noqa: PLR0913 -- the fields of one record of the file
        self,
        *,
        segment: int,
        start: int,
        end: int,
        events: int,
        seq: int,
        time: int,
        points: int,
        dropped: int,
        crc: int = 0,
    ) -> None:
        self.segment = segment
        self.start = start
        self.end = end
        self.events = events  # number of records
        self.seq = seq  # of the first record
        self.time = time  # of the cut, µs
        self.points = points  # metric points of this producer before it
        self.dropped = dropped  # points and values dropped until then
        self.crc = crc  # of the bytes of all records, concatenated


class ShippingCursor:
    """The cursor file of one producer; in memory when the journal has no folder."""

    def __init__(self, memory: mmap.mmap, path: str, producer: str) -> None:
        self._map = memory
        self._path = path
        self.producer = producer
        self.cuts = 0  # number of cuts
        self.acknowledged = 0  # number of acknowledged cuts
        self.seq = 0  # number of the first record that is not acknowledged
        self.end = (0, 0)  # segment and offset up to which everything is cut
        self.points = 0  # metric points cut
        self.acknowledged_points = 0
        self.acknowledged_values = 0
        self.lost = 0  # points and values that were in the journal and that the log will never have
        self.refused = 0  # ... that never were in the journal
        self.tail = (0, 0)  # end of the journal when the owner wrote it down last
        self.flags = 0
        self._report: tuple[bytes, dict[str, Any]] = (b"", {})  # version and content of what was read last
        self.is_damaged = False  # no further cut may be added

    @classmethod
    def create(cls, folder: str, number: int, producer: str) -> ShippingCursor:
        """Return the new file of a producer. Raises OSError."""
        if not folder:
            return cls(mmap.mmap(-1, FILE_BYTES), "", producer)
        path = os.path.join(folder, f"{CURSOR_PREFIX}{number:04d}.{producer}")
        made = cls(reserve(path), path, producer)
        made._map[:] = bytes(FILE_BYTES)
        return made

    def publish(self) -> None:
        """Save all that is known, then give the file its final name. Raises OSError."""
        self.save()
        self.save_owner()
        if self._path:
            os.rename(f"{self._path}{UNPUBLISHED}", self._path)

    def move_to(self, folder: str) -> None:
        """
        Continue in a new file with the same content, of the same name. Raises OSError.

        What another process still writes to the old file is lost.
        """
        path = os.path.join(folder, os.path.basename(self._path))
        memory = reserve(path)
        for _ in range(COPIES):
            memory[:] = self._map[:]
            if read_state(memory):
                break  # otherwise the other process was writing the state meanwhile
        self._map, self._path = memory, path
        self.refresh()
        self.publish()

    def move_to_memory(self) -> None:
        """Continue in memory with the same content: the folder is gone."""
        memory = mmap.mmap(-1, FILE_BYTES)
        memory[:] = self._map[:]
        self._map = memory
        self.refresh()

    def reserve(self) -> None:
        """Allocate the file that `move_to` will need. Raises OSError."""
        reserve(self._path).close()

    @classmethod
    def open(cls, path: str) -> ShippingCursor:
        """Return an existing file. Raises OSError."""
        handle = os.open(path, os.O_RDWR)
        try:
            if os.fstat(handle).st_size < FILE_BYTES:
                allocate(handle, FILE_BYTES)
            found = cls(mmap.mmap(handle, FILE_BYTES), path, path.rpartition(".")[2])
        finally:
            os.close(handle)
        found._load()
        return found

    def release(self) -> None:
        """Close the file, which was deleted."""
        if self._path:
            self._map.close()

    def save(self) -> None:
        """Write the state, one copy after the other: one copy stays intact when the process is killed in between."""
        write_state(
            self._map,
            self.flags,
            self.cuts,
            self.acknowledged,
            self.seq,
            self.points,
            self.dropped,
            *self.end,
            _bytes(self.producer),
            self.acknowledged_points,
            self.acknowledged_values,
            self.lost,
        )

    def save_owner(self) -> None:
        """Write what the owner of the journal knows."""
        write_owner(self._map, self.flags & (ENDED | CLOSED), *self.tail, self.refused)

    @property
    def dropped(self) -> int:
        """Number of points and values that the log will never have."""
        return self.refused + self.lost

    def report(self, report: dict[str, Any]) -> None:
        """Write what an agent reports to the owner."""
        write_report(self._map, report)

    def read_report(self) -> dict[str, Any]:
        """Return what an agent reported last."""
        if (version := report_version(self._map)) != self._report[0]:
            self._report = (version, read_report(self._map))
        return self._report[1]

    def refresh(self) -> bool:
        """Read the state that another process writes; False when it is damaged."""
        state = read_state(self._map)
        if state is None:
            return False
        flags, self.cuts, self.acknowledged, self.seq, self.points, dropped, number, offset = state[:8]
        self.end = (number, offset)
        self.flags |= flags
        self.acknowledged_points, self.acknowledged_values, self.lost = state[9:]
        self.refused = max(self.refused, dropped - self.lost)
        return True

    def refresh_owner(self) -> None:
        """Read what the owner of the journal, another process, wrote last."""
        found = read_owner(self._map)
        if found is not None:
            flags, number, offset, refused = found
            self.flags |= flags
            self.tail, self.refused = (number, offset), max(self.refused, refused)

    def _load(self) -> None:
        if not self.refresh():
            self._load_from_ring()
        self.refresh_owner()

    def _load_from_ring(self) -> None:
        """Treat the newest consecutive cuts as not acknowledged: sending them again changes nothing."""
        self.is_damaged = True
        slots = range(RING_AT, RING_AT + RING * CUT_BYTES, CUT_BYTES)
        numbers = {self._map[at + 56] | self._map[at + 57] << 8 | self._map[at + 58] << 16 for at in slots}
        whole = sorted(number for number in numbers if self.read(number) is not None)
        if not whole:
            return
        first = last = whole[-1]
        while first - 1 in whole:
            first -= 1
        oldest, newest = self.read(first), self.read(last)
        if oldest is not None and newest is not None:
            self.cuts, self.acknowledged, self.seq = last + 1, first, oldest.seq
            self.end = (newest.segment, newest.end)

    @property
    def is_full(self) -> bool:
        """Whether the ring has no room until a cut is acknowledged."""
        return self.cuts - self.acknowledged >= RING

    def append(self, boundary: BatchBoundary, points: int, *, is_last: bool = False) -> None:
        """
        Write down a cut and the number of metric points up to its end. Send its records only afterwards.

        `is_last` says that it has the producer's end.
        """
        self.points = points
        self.flags |= CUT_CLOSED if is_last else 0
        raw = _CUT.pack(
            0,
            boundary.segment,
            boundary.start,
            boundary.end,
            boundary.events,
            boundary.crc,
            boundary.seq,
            boundary.time,
            boundary.points,
            boundary.dropped,
            self.cuts & 0xFFFF_FFFF,
            0,
        )[4:]
        at = RING_AT + self.cuts % RING * CUT_BYTES
        self._map[at : at + CUT_BYTES] = crc32(raw).to_bytes(4, "little") + raw
        self.cuts += 1
        self.end = (boundary.segment, boundary.end)
        self.save()

    def acknowledge(self, seq: int, cuts: int, points: int = 0, values: int = 0) -> None:
        """Write down that the log has `cuts` more cuts, `points` and `values` more, all records below `seq`."""
        self.seq = seq
        self.acknowledged += cuts
        self.acknowledged_points += points
        self.acknowledged_values += values
        self.save()

    def pass_over(self, position: tuple[int, int]) -> None:
        """Write down that nothing has to be cut before this position."""
        self.end = position
        self.save()

    @property
    def records(self) -> int:
        """Number of records that are cut."""
        last = self.read(self.cuts - 1) if self.cuts > self.acknowledged else None
        return self.seq if last is None else last.seq + last.events

    @property
    def reached(self) -> tuple[int, int]:
        """The position before which everything is acknowledged."""
        waiting = self.read(self.acknowledged) if self.cuts > self.acknowledged else None
        if waiting is not None:
            return waiting.segment, waiting.start
        return self.end if self.cuts == self.acknowledged else (0, 0)

    def read(self, number: int) -> BatchBoundary | None:
        """Return a cut that is not acknowledged, or None when its entry is damaged."""
        at = RING_AT + number % RING * CUT_BYTES
        whole = self._map[at : at + CUT_BYTES]
        crc, segment, start, end, events, content, seq, time, points, dropped, index, _ = _CUT.unpack(whole)
        if crc32(whole[4:]) != crc or index != number & 0xFFFF_FFFF or not whole.strip(b"\x00"):
            return None
        return BatchBoundary(
            segment=segment,
            start=start,
            end=end,
            events=events,
            seq=seq,
            time=time,
            points=points,
            dropped=dropped,
            crc=content,
        )


def producer_of(name: str) -> str:
    """Return the producer in the name of a cursor file, or of one that is not published; "" for any other name."""
    prefix, _, producer = name.removesuffix(UNPUBLISHED).rpartition(".")
    number = prefix.removeprefix(CURSOR_PREFIX)
    is_number = prefix != number and number.isascii() and number.isdecimal()
    return producer if is_number and _UUID.fullmatch(producer) else ""


def is_cursor_state(begin: bytes, producer: str) -> bool:
    """Return whether a file that begins with these bytes holds an intact state of this producer's cursor."""
    states = (unpack_state(begin[at : at + 256]) for at in STATE_AT)
    return any(state is not None and state[8] == _bytes(producer) for state in states)


def reserve(path: str) -> mmap.mmap:
    """Allocate a cursor file that has not got its final name, and return its memory. Raises OSError."""
    handle = os.open(f"{path}{UNPUBLISHED}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        allocate(handle, FILE_BYTES)
        return mmap.mmap(handle, FILE_BYTES)
    finally:
        os.close(handle)


def _bytes(producer: str) -> bytes:
    return bytes.fromhex(producer.replace("-", ""))
