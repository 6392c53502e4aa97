"""
The intact records in the folder of a journal, read again after the process that wrote them has ended.
"""

from __future__ import annotations

import mmap
import os
from time import sleep

from gateway.client.encoding.values import dumps
from gateway.client.journal import segment as segments
from gateway.client.journal.entries import kind_of, time_of
from gateway.client.journal.format import (
    COLUMNS,
    EVENT,
    HEADER,
    IS_MICROS,
    POINT,
    POINT_ROW,
    SERIES,
    Damage,
    find_end,
    read_row,
    record_size,
    scan,
    write_record,
)
from gateway.client.journal.ownership import parse_meta, read_meta
from gateway.client.journal.rows.columns import ColumnsDefinition
from gateway.client.journal.segment import SUFFIX, Segment
from gateway.client.journal.series import ENDINGS, SeriesDefinition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.journal.format import ScannedRecord
    from gateway.client.journal.readable import JournalPosition


PIECE = 1_000  # records


class JournalContents:
    """
    The intact records in a journal's folder. Raises OSError when the folder cannot be read.

    The reading thread sleeps for `rest_s` seconds after each PIECE of records.
    """

    def __init__(self, folder: str, *, rest_s: float = 0.0) -> None:
        self._rest_s = rest_s
        self.folder = folder
        self.segments: dict[int, Segment] = {}
        self.meta: dict[str, Any] = {}
        self.damage = Damage()
        self.records = 0  # points and values
        self.last_time = 0  # of the latest record, µs
        self.is_ended = False  # the run's end is in the journal
        self.closed_at: JournalPosition | None = None  # position of the producer's end
        self._ends: dict[int, tuple[int, tuple[int, int]]] = {}  # of the last intact record; what is damaged after it
        for number in segments.numbers_in(folder):
            self._load(number)
        self._set_ends()
        self.meta = read_meta(folder) or self.meta

    @property
    def tail(self) -> JournalPosition:
        """Segment and offset of the end."""
        if not self.segments:
            return (0, 0)
        last = max(self.segments)
        return last, self.segments[last].end

    def append_events(self, bodies: list[dict[str, object]]) -> None:
        """Append events in a new segment, because nothing is written after a torn end. Raises OSError."""
        payloads = [dumps(body).encode() for body in bodies]
        header = dumps(self.meta).encode()
        number = self.tail[0] + 1
        need = sum(record_size(len(payload)) for payload in payloads)
        made = segments.create(self.folder, number, -(-(need + record_size(len(header))) // 4_096) * 4_096, header)
        for payload in payloads:
            write_record(made.map, made.end, EVENT, 0, payload)
            made.end += record_size(len(payload))
        self.segments[number] = made

    def _set_ends(self) -> None:
        """Count what is damaged at the end of a segment, but not in the last one, where it was never finished."""
        least = min(segments.SIZES[0], segments.SMALLEST)  # smaller: one of `append_events`
        last = max((number for number, one in self.segments.items() if one.size >= least), default=0)
        for number, (intact, damaged) in self._ends.items():
            if number < last:
                self.damage.at_end = damaged
                self.damage.count_end()
            else:
                self.segments[number].end = intact

    def _load(self, number: int) -> None:
        path = os.path.join(self.folder, f"{number:08d}{SUFFIX}")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < segments.PAGE // 64:
                # The process was killed before the file had its blocks: it is empty, and its number is needed.
                segments.remove(path)
                return
            memory = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        one = Segment(number, memory, path)
        one.end, intact = find_end(memoryview(memory)), 0
        for count, found in enumerate(scan(memoryview(memory), 0, one.end, self.damage), 1):
            intact = found.end
            if self._rest_s and not count % PIECE:
                sleep(self._rest_s)
            if found.kind == POINT:
                flags, _, time, _ = found.row
                self.last_time = max(self.last_time, time if flags & IS_MICROS else time // 1_000)
                self._count(one, found.series)
            elif found.kind == SERIES:
                self._add_series(one, found.series, found.payload)
            elif found.kind == COLUMNS:
                self._add_columns(one, found.series, found.payload)
            elif found.kind == POINT_ROW:
                _, time, values, _ = read_row(found.payload)
                self.last_time = max(self.last_time, time // 1_000)
                if found.series in one.columns:
                    self.records += len(values)
                else:
                    self.damage.lost += len(values)
            elif found.kind == HEADER:
                one.first = found.end
                self.meta = self.meta or parse_meta(found.payload)
            else:
                self._add_entry(one, found)
        one.end = max(one.end, intact)
        self.segments[number] = one
        self._ends[number] = intact, self.damage.at_end

    def _count(self, one: Segment, series: int) -> None:
        if series in one.series:
            self.records += 1
        else:  # both definitions are damaged: its series is unknown
            self.damage.lost += 1

    def _add_series(self, one: Segment, number: int, payload: bytes) -> None:
        try:
            one.series.setdefault(number, SeriesDefinition.read(payload))
        except (ValueError, KeyError, TypeError):
            self.damage.records += 1

    def _add_columns(self, one: Segment, number: int, payload: bytes) -> None:
        try:
            found = ColumnsDefinition.read(payload)
        except (ValueError, KeyError, TypeError):
            self.damage.records += 1
            return
        if one.series.keys() >= set(found.series):  # otherwise a series is damaged, and so are all points of its rows
            one.columns.setdefault(number, found)

    def _add_entry(self, one: Segment, found: ScannedRecord) -> None:
        self.last_time = max(self.last_time, time_of(found.payload))
        if found.kind != EVENT:
            self._count(one, found.series)
            return
        name = kind_of(found.payload)
        self.is_ended = self.is_ended or name in ENDINGS
        if name == "producer_closed":
            self.closed_at = (one.number, found.start)
