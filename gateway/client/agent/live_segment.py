"""
A segment to which another process writes at this moment.

The file is mapped, so a record is here as soon as it is written there; its end is found by reading on from the last
known one. Records are written in order, so what lies before another record is whole, and only the CRC of the last one
has to be checked.
"""

from __future__ import annotations

import mmap
import os

from gateway.client.journal.format import COLUMNS, HEADER, POINT, SERIES, SLOT, find_end, read_record, scan
from gateway.client.journal.rows.columns import ColumnsDefinition
from gateway.client.journal.segment import SUFFIX, Segment
from gateway.client.journal.series import SeriesDefinition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.format import ScannedRecord

PIECE = 1_024 * SLOT  # looked through at once
ONLY_POINTS = bytes([POINT])


class LiveSegment(Segment):
    """A segment up to `end`; `advance` moves that on."""

    __slots__ = ()

    @classmethod
    def find(cls, folder: str, number: int) -> LiveSegment | None:
        """Return the segment of this number; None when there is none yet, or it has no header yet. Raises OSError."""
        path = os.path.join(folder, f"{number:08d}{SUFFIX}")
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(handle).st_size
            memory = mmap.mmap(handle, size, access=mmap.ACCESS_READ) if size >= SLOT else None
        finally:
            os.close(handle)
        if memory is None:
            return None
        header = read_record(memory, 0, len(memory))
        if header is None or header.kind != HEADER or header.series != number:
            return None
        made = cls(number, memory, path)
        made.first = made.end = header.end
        return made

    def advance(self, known: int) -> bool:
        """
        Move `end` behind the last record; return whether that is further than before.

        Everything before offset `known` is written, as the owner wrote down before this call. So a slot there that
        holds no record never will: Ctrl-C came between taking and writing it.
        """
        end = self._walk(self.end)
        while end < known:
            for found in scan(memoryview(self.map), end, known):
                self._keep(found)
            end = self._walk(known)
        if end == self.end or not self._is_ours():
            return False
        self.end = end
        return True

    def close(self) -> None:
        """Move `end` behind the last record: the owner writes to the next segment now."""
        end = find_end(self.map)
        for found in scan(memoryview(self.map), self.end, end):
            self._keep(found)
            end = max(end, found.end)  # the last slots of a row may be zero
        if self._is_ours():
            self.end = max(end, self.end)

    def _is_ours(self) -> bool:
        """
        Return whether what was read belongs to this segment.

        The owner may use the file again for the next one, when all of it is acknowledged. It clears the header first.
        """
        return self.map[4] == HEADER and int.from_bytes(self.map[12:16], "little") == self.number

    def _walk(self, position: int) -> int:
        data, size = self.map, self.size
        while position + SLOT <= size and (kind := data[position + 4]):
            if kind != POINT:
                found = read_record(data, position, size)
                if found is None:
                    break  # it is being written
                self._keep(found)
                position = found.end
                continue
            kinds = data[position + 4 : min(position + PIECE, size) : SLOT]
            count = len(kinds) - len(kinds.lstrip(ONLY_POINTS))
            is_whole = count < len(kinds) and kinds[count] != 0
            if not is_whole and read_record(data, position + (count - 1) * SLOT, size) is None:
                return position + (count - 1) * SLOT
            position += count * SLOT
        return position

    def _keep(self, found: ScannedRecord) -> None:
        if found.kind == SERIES and found.series not in self.series:
            self.series[found.series] = SeriesDefinition.read(found.payload)
        elif found.kind == COLUMNS and found.series not in self.columns:
            self.columns[found.series] = ColumnsDefinition.read(found.payload)
