"""
The bytes of a journal, as described in docs/journal.md. Pure: buffers in, values out.

A segment is a row of slots of 40 bytes. A point is one slot; any other record is one or more. Each record starts with
a CRC32 of the rest of it. This distinguishes an intact record from one that the process was writing when it died, or
that the disk changed. Because every record starts at a multiple of 40, reading continues at the next slot. An empty
slot is zero. The first byte after the CRC is the kind: a number below 32, which JSON text never contains, so nothing
inside a text can be mistaken for a record.
"""

from __future__ import annotations

import struct
from sys import byteorder
from typing import NamedTuple
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap
    from typing import Any

    Buffer = bytes | memoryview | mmap

VERSION = 2  # 1: of releases without rows and without a node agent
SLOT = 40
POINT, SERIES, VALUE, EVENT, HEADER, COLUMNS, POINT_ROW = 1, 2, 3, 4, 5, 6, 7
IS_INTEGER, IS_MICROS = 1, 2  # flags of a point: its value was an int; its time is in µs, not ns

_POINT = struct.Struct("<BBHIIqQd")  # kind, flags, 0, series, 0, step, time, value
_LENGTH_AND_NUMBER = struct.Struct("<II")
_HEAD = struct.Struct("<BBHII")  # kind, flags, 0, bytes of payload, series
_CRC = struct.Struct("<I")
ROW_HEAD = struct.Struct(
    "<qQII"
)  # step, time (ns), values, 1 if a byte follows for each that tells whether it was an int
ROW = struct.Struct("<IBBHIIqQd")  # the slot of a point: CRC, then the fields of _POINT
CRC_BYTES = _CRC.size
HEAD_BYTES = CRC_BYTES + _HEAD.size

pack_point = _POINT.pack
write_point = struct.Struct("<I36s").pack_into  # CRC, then the rest


class ScannedRecord:
    """One record read from a segment."""

    __slots__ = ("end", "kind", "payload", "row", "series", "start")

    def __init__(self, kind: int, start: int, end: int, series: int, payload: bytes, row: tuple[int, int, int, float]):
        self.kind = kind
        self.start = start
        self.end = end  # start of the next record
        self.series = series
        self.payload = payload  # empty for a point
        self.row = row  # flags, step, time and value of a point


NO_ROW = (0, 0, 0, 0.0)


def record_size(payload: int) -> int:
    """Return the bytes, in whole slots, of a record with a payload of `payload` bytes."""
    return -(-(HEAD_BYTES + payload) // SLOT) * SLOT


def pack_record(kind: int, series: int, payload: bytes) -> bytes:
    """Return a record that is not a point, without its padding."""
    head = _HEAD.pack(kind, 0, 0, len(payload), series)
    return _CRC.pack(crc32(payload, crc32(head))) + head + payload


def write_record(memory: mmap, position: int, kind: int, series: int, payload: bytes) -> None:
    """Write a record that is not a point."""
    whole = pack_record(kind, series, payload)
    memory[position : position + len(whole)] = whole


def read_record(data: Buffer, position: int, end: int) -> ScannedRecord | None:
    """Return the intact record that starts at `position`, or None."""
    if position + SLOT > end:
        return None
    crc, kind, flags, _, first, second, step, time, value = ROW.unpack_from(data, position)
    if kind == POINT:
        if crc32(data[position + 4 : position + SLOT]) != crc:
            return None
        return ScannedRecord(kind, position, position + SLOT, first, b"", (flags, step, time, value))
    if SERIES <= kind <= POINT_ROW:
        stop = position + record_size(first)
        if stop <= end and crc32(data[position + 4 : position + HEAD_BYTES + first]) == crc:
            payload = bytes(data[position + HEAD_BYTES : position + HEAD_BYTES + first])
            return ScannedRecord(kind, position, stop, second, payload, NO_ROW)
    return None


def read_row(payload: bytes) -> tuple[int, int, tuple[float, ...], bytes]:
    """Return step, time (ns) and values of a row, and its mask: a byte for each value, 1 for an int; b"" without."""
    step, time, count, _ = ROW_HEAD.unpack_from(payload)
    return step, time, struct.unpack_from(f"<{count}d", payload, ROW_HEAD.size), payload[ROW_HEAD.size + 8 * count :]


def row_points(payload: bytes) -> int:
    """Return how many points a row has."""
    return int(ROW_HEAD.unpack_from(payload)[2])


class RowHead(NamedTuple):
    """The head of a row without ints, of which the record is not checked."""

    columns: int  # their number in the segment
    width: int  # values
    size: int  # bytes, in whole slots


class EqualRows(NamedTuple):
    """Consecutive rows with the same columns."""

    steps: list[int]
    times: list[int]  # ns
    values: list[list[float]]  # of each column


def read_row_head(data: mmap, start: int, end: int) -> RowHead | None:
    """Return the head of the row without ints that begins at `start`; None if there is another record."""
    if byteorder == "big" or start + HEAD_BYTES + ROW_HEAD.size > end or data[start + 4] != POINT_ROW:
        return None
    length, columns = _LENGTH_AND_NUMBER.unpack_from(data, start + 8)
    count, is_masked = ROW_HEAD.unpack_from(data, start + HEAD_BYTES)[2:]
    size = record_size(ROW_HEAD.size + 8 * count)
    return None if is_masked or length != ROW_HEAD.size + 8 * count else RowHead(columns, count, size)


def read_equal_rows(data: mmap, start: int, end: int, head: RowHead, most: int) -> EqualRows:
    """Return the rows from `start` on that have the same head, at most `most`. A row takes a multiple of 40 bytes."""
    rows = min((end - start) // head.size, most)
    stop = start + rows * head.size
    with memoryview(data) as whole, whole[start:stop] as part, part.cast("q") as words, part.cast("d") as floats:
        stride = head.size // 8
        first, last = words[1], words[4]  # length and columns; values and whether ints are marked
        kinds, heads, counts = part[4 :: head.size], words[1::stride].tolist(), words[4::stride].tolist()
        fit = 0
        while fit < rows and kinds[fit] == POINT_ROW and heads[fit] == first and counts[fit] == last:
            fit += 1
        steps, times = words[2::stride].tolist()[:fit], words[3::stride].tolist()[:fit]
        values: Any = [floats[5 + at :: stride].tolist()[:fit] for at in range(head.width)]  # typeshed: integers
        kinds.release()
    return EqualRows(steps, times, values)


class Damage:
    """Number of damaged records between intact ones."""

    __slots__ = ("at_end", "lost", "records")

    def __init__(self) -> None:
        self.records = 0
        self.lost = 0  # those that were points or values, as far as their bytes tell
        self.at_end = (0, 0)  # records and lost ones after the last intact record of the last scan

    def count_end(self) -> None:
        """Count what follows the last intact record too: the segment after it shows that all were finished."""
        self.records += self.at_end[0]
        self.lost += self.at_end[1]


def scan(data: Buffer, start: int, end: int, damage: Damage | None = None) -> Iterator[ScannedRecord]:
    """
    Yield the intact records in order.

    Damaged records are skipped; `damage` counts at least one for each place. Empty slots do not count, and neither does
    what follows the last intact record: a record cut short there was never finished.
    """
    position, broken, lost, inside = start, 0, 0, 0
    end = min(end, len(data))  # the file may have been truncated
    if damage is not None:
        damage.at_end = (0, 0)
    while position + SLOT <= end:
        found = read_record(data, position, len(data))  # beyond `end`, if the last slots of a row are zero
        if found is None:
            if position >= inside and any(data[position : position + SLOT]):
                size, points = _guess(data, position)
                broken += 1
                lost += points
                inside = position + size
            position += SLOT
            continue
        if broken and damage is not None:
            damage.records += broken
            damage.lost += lost
        broken = lost = 0
        yield found
        position = inside = found.end
    if damage is not None:
        damage.at_end = (broken, lost)


def _guess(data: Buffer, position: int) -> tuple[int, int]:
    """
    Return the size of a damaged record and its points and values, as its own bytes state them.

    A record with text begins with a brace. A series is defined twice, and a header repeats meta.json.
    """
    kind, length = data[position + 4], int.from_bytes(data[position + 8 : position + 12], "little")
    if kind == POINT_ROW and position + HEAD_BYTES + ROW_HEAD.size <= len(data):
        count, is_masked = ROW_HEAD.unpack_from(data, position + HEAD_BYTES)[2:]
        if length == ROW_HEAD.size + (9 if is_masked else 8) * count:
            return record_size(length), count
    if kind == POINT or data[position + HEAD_BYTES] != ord("{"):
        return SLOT, 1
    return record_size(length), int(kind not in (SERIES, EVENT, HEADER, COLUMNS))


def read_columns(
    data: mmap, start: int, end: int
) -> tuple[bytes, list[int], tuple[bytes, list[int], list[int], list[float]]]:
    """Return kinds, series, and (flags, steps, times, values) of the slots from `start` to `end`, read as points."""
    with memoryview(data) as whole, whole[start:end] as part:
        kinds, flags = part[4::SLOT].tobytes(), part[5::SLOT].tobytes()
        if byteorder == "big":
            rows = list(ROW.iter_unpack(part))
            numbers, steps, times = ([row[at] for row in rows] for at in (4, 6, 7))
            return kinds, numbers, (flags, steps, times, [row[8] for row in rows])
        # Column by column: one tuple per slot takes four times as long.
        with part.cast("q") as words, part.cast("Q") as ages, part.cast("d") as floats:
            numbers, steps, times = words[1::5].tolist(), words[2::5].tolist(), ages[3::5].tolist()
            values: Any = floats[4::5].tolist()  # typeshed: integers, whatever the format
            return kinds, numbers, (flags, steps, times, values)


def find_end(data: Buffer) -> int:
    """Return the offset after the last slot that is not empty."""
    size = len(data) // SLOT * SLOT
    step = 65_536
    whole = memoryview(data)
    while size > 0:
        begin = max(0, size - step)
        tail = bytes(whole[begin:size]).rstrip(b"\x00")
        if tail:
            return min(-(-(begin + len(tail)) // SLOT) * SLOT, len(data) // SLOT * SLOT)
        size = begin
    return 0
