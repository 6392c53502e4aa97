"""
The shipping cursor of a producer, file `cuts.NNNN`: where it cut its journal, what is acknowledged, what was dropped.

The file never grows. It holds a state, in two copies, and a ring of the cuts that are not acknowledged. A cut is
written here before its records are sent, with the CRC of their bytes. A process that sends them again after a crash
therefore sends the same bytes, or learns that it cannot.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from zlib import crc32

from gateway.client.journal.segment import allocate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CURSOR_PREFIX = "cuts."
UNPUBLISHED = ".new"
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
RING = 1_024  # cuts not acknowledged, at most
RING_AT = 8_192
STATE_AT = (0, 4_096)  # in two blocks of a disk
ENDED, CLOSED = 1, 2  # flags of the state: the journal holds the run's end, and the producer's

# Magic, flags, cuts, acknowledged cuts, seq, points, dropped, segment and offset of the end, producer.
_STATE = struct.Struct("<IIQQQQQII16s")
# CRC, segment, start, end, events, CRC of the records' bytes, seq, time, points, dropped, number of the cut, 0.
_CUT = struct.Struct("<IIIIIIQQQQII")
CUT_BYTES = 64
FILE_BYTES = RING_AT + RING * CUT_BYTES
MAGIC = 0x4C4A5447  # GTJL


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
        self.dropped = 0
        self.flags = 0
        self.is_damaged = False  # no further cut may be added

    @classmethod
    def create(cls, folder: str, number: int, producer: str) -> ShippingCursor:
        """Return the new file of a producer. Raises OSError."""
        if not folder:
            return cls(mmap.mmap(-1, FILE_BYTES), "", producer)
        path = os.path.join(folder, f"{CURSOR_PREFIX}{number:04d}.{producer}")
        handle = os.open(f"{path}{UNPUBLISHED}", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            allocate(handle, FILE_BYTES)
            made = cls(mmap.mmap(handle, FILE_BYTES), path, producer)
        finally:
            os.close(handle)
        return made

    def publish(self) -> None:
        """Save the state, then give the file its final name. Raises OSError."""
        self.save()
        if self._path:
            os.rename(f"{self._path}{UNPUBLISHED}", self._path)

    def move_to(self, fresh: ShippingCursor) -> None:
        """Continue in a new file with the same content. Raises OSError."""
        fresh._map[:] = self._map[:]
        self._map, self._path = fresh._map, fresh._path
        self.publish()

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
        raw = _STATE.pack(
            MAGIC,
            self.flags,
            self.cuts,
            self.acknowledged,
            self.seq,
            self.points,
            self.dropped,
            *self.end,
            _bytes(self.producer),
        )
        whole = raw + crc32(raw).to_bytes(4, "little")
        for at in STATE_AT:
            self._map[at : at + len(whole)] = whole

    def _load(self) -> None:
        states = [state for state in map(self._read_state, STATE_AT) if state is not None]
        if not states:
            self._load_from_ring()
            return
        # No value ever decreases, and the copies differ by one write at most.
        newest = max(states, key=lambda one: one[2:5])
        _, flags, self.cuts, self.acknowledged, self.seq, self.points, dropped, *end, _ = newest
        self.end = (end[0], end[1])
        self.flags = flags | states[0][1]
        self.dropped = max(dropped, states[0][6])

    def _read_state(self, at: int) -> tuple[Any, ...] | None:
        return _unpack_state(self._map[at : at + _STATE.size + 4])

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

    def append(self, boundary: BatchBoundary, points: int) -> None:
        """Write down a cut and the number of metric points up to its end. Send its records only afterwards."""
        self.points = points
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

    def acknowledge(self, seq: int, cuts: int) -> None:
        """Write down that the log has `cuts` more cuts, all records below `seq`."""
        self.seq = seq
        self.acknowledged += cuts
        self.save()

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
    states = (_unpack_state(begin[at : at + _STATE.size + 4]) for at in STATE_AT)
    return any(state is not None and state[-1] == _bytes(producer) for state in states)


def _unpack_state(whole: bytes) -> tuple[Any, ...] | None:
    if len(whole) < _STATE.size + 4 or crc32(whole[:-4]) != int.from_bytes(whole[-4:], "little"):
        return None
    found = _STATE.unpack(whole[:-4])
    return found if found[0] == MAGIC else None


def _bytes(producer: str) -> bytes:
    return bytes.fromhex(producer.replace("-", ""))
