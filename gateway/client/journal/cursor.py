"""
Where a producer cut its journal, what the log acknowledged, and what was dropped: the file `cuts.NNNN`.

The file never grows: a state that is kept twice, and a ring of the cuts that are not acknowledged. A cut is written
here before its records are sent, with the CRC of their bytes. So whoever sends them again after a crash sends the same
bytes, or learns that it cannot.
"""

from __future__ import annotations

import mmap
import os
import struct
from zlib import crc32

from gateway.client.journal.segment import reserve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CURSOR_PREFIX = "cuts."
RING = 1_024  # cuts not acknowledged
RING_AT = 8_192
STATE_AT = (0, 4_096)  # two blocks of a disk
ENDED, CLOSED = 1, 2  # flags of the state: the run's end, and the producer's, are in the journal

_STATE = struct.Struct("<IIQQQQQII16s")  # magic, flags, cut, acknowledged, seq, points, dropped, end, producer
_CUT = struct.Struct(
    "<IIIIIIQQQQII"
)  # CRC, segment, start, end, events, CRC of bytes, seq, time, points, dropped, number, 0
CUT_BYTES = 64
FILE_BYTES = RING_AT + RING * CUT_BYTES
MAGIC = 0x4C4A5447  # GTJL


class BatchBoundary:
    """A piece of one segment, and the records it became."""

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
        self.events = events  # records it became
        self.seq = seq  # of the first of them
        self.time = time  # when it was cut, µs
        self.points = points  # metric points of this producer before it
        self.dropped = dropped  # points and values dropped until then
        self.crc = crc  # of the records' bytes, one after the other


class ShippingCursor:
    """The file of one producer. In memory when there is no folder for it."""

    def __init__(self, place: mmap.mmap, path: str, producer: str) -> None:
        self._map = place
        self._path = path
        self.producer = producer
        self.cut = 0  # number of cuts
        self.acknowledged = 0  # cuts acknowledged
        self.seq = 0  # number of the first record that is not acknowledged
        self.end = (0, 0)  # segment and offset up to which everything is cut
        self.points = 0  # metric points cut
        self.dropped = 0
        self.flags = 0
        self.is_damaged = False  # nothing may be cut here any more

    @classmethod
    def create(cls, folder: str, number: int, producer: str) -> ShippingCursor:
        """Return the new file of a producer. Raises OSError."""
        if not folder:
            return cls(mmap.mmap(-1, FILE_BYTES), "", producer)
        path = os.path.join(folder, f"{CURSOR_PREFIX}{number:04d}.{producer}")
        handle = os.open(f"{path}.new", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            reserve(handle, FILE_BYTES)
            made = cls(mmap.mmap(handle, FILE_BYTES), path, producer)
        finally:
            os.close(handle)
        return made

    def publish(self) -> None:
        """Save the state, and let the file be found."""
        self.save()
        if self._path:
            os.rename(f"{self._path}.new", self._path)

    @classmethod
    def open(cls, path: str) -> ShippingCursor:
        """Return the file as it was left. Raises OSError."""
        handle = os.open(path, os.O_RDWR)
        try:
            if os.fstat(handle).st_size < FILE_BYTES:
                reserve(handle, FILE_BYTES)
            found = cls(mmap.mmap(handle, FILE_BYTES), path, path.rpartition(".")[2])
        finally:
            os.close(handle)
        found._load()
        return found

    def save(self) -> None:
        """Write the state, one copy after the other: a process killed in between leaves one whole."""
        raw = _STATE.pack(
            MAGIC,
            self.flags,
            self.cut,
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
        states = [state for state in map(self._state, STATE_AT) if state is not None]
        if not states:
            self._load_from_ring()
            return
        # Each value only grows, and the copies differ by one writing at most.
        newest = max(states, key=lambda one: one[2:5])
        _, flags, self.cut, self.acknowledged, self.seq, self.points, dropped, *end, _ = newest
        self.end = (end[0], end[1])
        self.flags = flags | states[0][1]
        self.dropped = max(dropped, states[0][6])

    def _state(self, at: int) -> tuple[Any, ...] | None:
        raw = self._map[at : at + _STATE.size]
        if crc32(raw) != int.from_bytes(self._map[at + _STATE.size : at + _STATE.size + 4], "little"):
            return None
        found = _STATE.unpack(raw)
        return found if found[0] == MAGIC else None

    def _load_from_ring(self) -> None:
        """Take the newest cuts that follow each other for not acknowledged: to send them again changes nothing."""
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
            self.cut, self.acknowledged, self.seq = last + 1, first, oldest.seq
            self.end = (newest.segment, newest.end)

    @property
    def is_full(self) -> bool:
        """Whether the ring has no room before something is acknowledged."""
        return self.cut - self.acknowledged >= RING

    def append(self, cut: BatchBoundary, points: int) -> None:
        """Write down a cut and how many metric points there are with it. Nothing of it may be sent before."""
        self.points = points
        raw = _CUT.pack(
            0,
            cut.segment,
            cut.start,
            cut.end,
            cut.events,
            cut.crc,
            cut.seq,
            cut.time,
            cut.points,
            cut.dropped,
            self.cut & 0xFFFF_FFFF,
            0,
        )[4:]
        at = RING_AT + self.cut % RING * CUT_BYTES
        self._map[at : at + CUT_BYTES] = crc32(raw).to_bytes(4, "little") + raw
        self.cut += 1
        self.end = (cut.segment, cut.end)
        self.save()

    def read(self, number: int) -> BatchBoundary | None:
        """Return a cut that is not acknowledged, or None when it is damaged."""
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


def _bytes(producer: str) -> bytes:
    return bytes.fromhex(producer.replace("-", ""))
