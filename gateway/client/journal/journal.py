"""
The journal of one process for one run: the only thing `emit` writes to.

Segments are files mapped into memory: once a method has returned, the kernel has the data, and SIGKILL of this process
loses nothing. `docs/journal.md` describes the bytes. One lock guards the end of the journal. A record's slot is taken
before the record is written, so a signal handler that emits in between gets a slot of its own.

The journal is bounded. At the bound, or on a full disk, the newest points and values are refused and counted; so are
console lines, system metrics and notes. Other events (lifecycle, params, tags, …) use a reserve, and memory after that.
Where the folder cannot be written, the whole journal is in memory, with a bound of its own.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from struct import error as StructError
from threading import RLock
from time import time_ns
from zlib import crc32

from gateway.client.encoding.values import clean_name, dumps, fit_clock
from gateway.client.journal import segment as segments
from gateway.client.journal.allocator import SegmentAllocator
from gateway.client.journal.cursor import CLOSED
from gateway.client.journal.entries import JournalEvent, Marker, Observation
from gateway.client.journal.files import JournalFiles
from gateway.client.journal.folder import journal_home, warn_unusable
from gateway.client.journal.format import (
    EVENT,
    IS_INTEGER,
    IS_MICROS,
    POINT,
    SERIES,
    SLOT,
    VALUE,
    pack_point,
    pack_record,
    record_size,
    write_point,
)
from gateway.client.journal.rows.writing import RowWriting
from gateway.client.journal.series import (
    ENDINGS,
    ActiveSeries,
    SeriesDefinition,
    StepCounters,
    encode_definition,
    warn_invalid_step,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.client.journal.readable import JournalPosition
    from gateway.client.journal.rows.columns import RowColumns
    from gateway.client.journal.series import StepContext

TAIL_TIMEOUT_S = 0.1


class Journal(RowWriting, JournalFiles):
    """The journal of one process for one run. Nothing is created on disk before the first record."""

    __slots__ = (
        "_acquire", "_allocator", "_context", "_deferred", "_end", "_is_changing", "_lock", "_map",
        "_other_bytes", "_points_before", "_points_limit", "_release", "_row", "_rows", "_segment", "_table",
        "_tables", "counters", "is_trusted", "markers", "segments", "values",
    )  # fmt: skip

    def __init__(self, run_id: str, *, is_owner: bool = True, attempt: int = 1, limit: int | None = None) -> None:
        super().__init__(run_id, is_owner=is_owner, attempt=attempt)
        self.segments: dict[int, segments.Segment] = {}
        self.markers: list[Marker] = []  # not reached yet
        self.is_trusted = True  # this process wrote what is read back
        self.values = 0  # values that are not points
        self._allocator = SegmentAllocator(run_id, limit)
        self._lock = RLock()
        self._acquire, self._release = self._lock.acquire, self._lock.release
        self._segment: segments.Segment | None = None  # being written
        self._map: Any = None
        self._end = 0  # offset of the next record
        self._points_limit = 0  # no point may start here or later
        self._points_before = 0  # points in earlier segments, and in rows
        self._other_bytes = 0  # bytes of this segment that are not points of their own
        self._is_changing = False  # in the middle of a change of several steps
        self._deferred: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._context: StepContext | None = None  # of the last point
        self._table: dict[str, ActiveSeries] = {}  # series of that context by name
        self._tables: dict[StepContext, dict[str, ActiveSeries]] = {}
        self._row: RowColumns | None = None  # of the last row
        self._rows: dict[tuple[StepContext, tuple[str, ...]], RowColumns] = {}  # of this segment
        self.counters = StepCounters(run_id)

    # Called by any thread to write.

    def put(self, name: str, value: float | int, step: int | None, context: StepContext) -> None:
        """Append one metric point with the current time. This is the hot path."""
        # Not `with self._lock`: that takes 80 ns longer.
        try:
            self._acquire()
            now = time_ns()
            while True:
                table = self._table
                if context is not self._context or self._end >= self._points_limit or name not in table:
                    if self._is_changing:
                        self._deferred.append((self.put, (name, value, step, context)))
                        return
                    if not self._change(self._make_room, name, context, SLOT):
                        return
                    continue
                active = table[name]
                if step is None:
                    step = active.counter.next()
                flags = 0 if value.__class__ is float else IS_INTEGER
                try:
                    raw = pack_point(POINT, flags, 0, active.number, 0, step, now, value)
                except StructError:
                    if now != (fit := fit_clock(now)):  # checked only here: each test in the hot path takes 12 ns
                        now = fit
                        continue
                    self.count_refused(1)
                    warn_invalid_step(step)
                    return
                if step > active.counter.largest:  # noqa: PLR1730 -- max() takes 60 ns
                    active.counter.largest = step
                crc = crc32(raw)
                # A signal handler may emit whenever Python has called something. From here to the end of the write
                # nothing is called but the write, so the slot is never left empty.
                if self._table is table and context is self._context and self._end < self._points_limit:
                    offset = self._end
                    self._end = offset + SLOT
                    write_point(self._map, offset, crc, raw)
                    return
        finally:
            try:  # noqa: SIM105 -- contextlib.suppress takes as long as all the rest
                self._release()
            except RuntimeError:
                pass  # Ctrl-C interrupted the wait for the lock

    def put_at(self, name: str, value: float | int, step: int | None, time: int, context: StepContext) -> None:
        """Append one metric point with a given time (µs)."""
        with self._lock:
            self._change(self._put_at, name, value, step, time, context)

    def observe(self, seen: Observation) -> None:
        """Append one value that is not a metric point."""
        with self._lock:
            self._change(self._observe, seen, dumps(seen.typed))

    def mark(self, marker: Marker) -> bool:
        """Place a marker at the end; False if another thread is changing the journal, so that the end is not known."""
        end = self._find_end()
        if end is None:
            return False
        marker.position = end
        self.markers.append(marker)
        return True

    def append(self, item: JournalEvent) -> None:
        """
        Append an event. One that no record can hold leaves a heartbeat in its place.

        At the bound console lines, system metrics and notes are refused and counted, like points; no other event is.
        """
        kind, payload, droppable = str(item.body["kind"]), item.encode(), item.droppable
        with self._lock:
            self._change(self._append, kind, payload, droppable)

    def try_append(self, item: JournalEvent) -> bool:
        """Append an event; return False if another thread holds the journal, as it may be waiting for the caller."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self.append(item)
            return True
        finally:
            self._lock.release()

    # Called by the producer, in the shipper's thread.

    def tail(self) -> JournalPosition:
        """Return segment and offset of the end, (0, 0) if it is not known. Everything before is written."""
        return self._find_end() or (0, 0)

    def _find_end(self) -> JournalPosition | None:
        # A thread may hold the lock for the whole timeout while its signal handler waits for the shipper in finish().
        is_held = self._lock.acquire(timeout=TAIL_TIMEOUT_S)
        try:
            if self._is_changing and not is_held:
                return None
            return (self._segment.number, self._end) if self._segment is not None else (0, 0)
        finally:
            if is_held:
                self._release()

    def prepare(self) -> None:
        """Preallocate the next segment once this one is half full, so that the emitting thread need not wait for it."""
        current = self._segment
        if current is None or not self._needs_next(current):
            return
        made = self._allocator.preallocate(current.number + 1)
        if made is None:
            return
        is_held = self._lock.acquire(timeout=TAIL_TIMEOUT_S)  # as in `tail`
        try:
            if is_held and self._needs_next(current):
                self._allocator.store_preallocated(made)
            else:
                made.delete()
        finally:
            if is_held:
                self._release()

    def _needs_next(self, current: segments.Segment) -> bool:
        is_open = self.cursor is not None and not self.cursor.flags & CLOSED
        return is_open and self._segment is current and self._allocator.needs_next(current, self._end)

    @property
    def points(self) -> int:
        """Number of metric points accepted."""
        with self._lock:
            if self._segment is None:
                return 0
            return self._points_before + (self._end - self._segment.first - self._other_bytes) // SLOT

    def acknowledge(
        self, seq: int, cuts: int, position: JournalPosition | None, points: int = 0, values: int = 0
    ) -> None:
        """
        Write down that the log has `cuts` more cuts, `points` and `values` more, all records below `seq`.

        Segments that end at `position` or before are deleted.
        """
        self.record_acknowledged(seq, cuts, points, values)
        if position is not None:
            self.delete_before(position)

    def delete_before(self, position: JournalPosition) -> None:
        """Delete the segments that end at `position` or before: all of them is acknowledged."""
        current = self._segment  # before the list: a segment that becomes the current one meanwhile is not in it
        for number, segment in list(self.segments.items()):
            is_over = segment is not current and (number, segment.end) <= position
            if is_over and self.segments.pop(number, None) is not None:
                self._allocator.size -= segment.size
                segment.delete()
        self._allocator.retry()

    # With the lock held.

    def _change(self, do: Callable[..., Any], *given: Any) -> Any:
        """Make a change of several steps. What a signal handler emits meanwhile is written right after it."""
        if self._is_changing:
            self._deferred.append((do, given))
            return False
        # Table and context are one state: a point is put into the table only for its own context. Nothing between the
        # two assignments calls anything, so neither a signal handler nor Ctrl-C can separate them.
        self._is_changing, current = True, self._segment
        table, context, self._context = self._table, self._context, None  # no point is put during the change
        try:
            return do(*given)
        finally:
            if self._context is None and self._segment is current:
                self._table, self._context = table, context
            self._is_changing = False
            while self._deferred:
                later, what = self._deferred.popleft()
                later(*what) if later in (self.put, self.put_late) else self._change(later, *what)

    def _put_at(self, name: str, value: float | int, step: int | None, time: int, context: StepContext) -> None:
        if not self._make_room(name, context, SLOT):
            return
        active = self._table[name]
        number = active.counter.accept(step)
        flags = (0 if isinstance(value, float) else IS_INTEGER) | IS_MICROS
        raw = pack_point(POINT, flags, 0, active.number, 0, number, time, value)
        crc = crc32(raw)
        offset = self._end
        self._end = offset + SLOT
        write_point(self._map, offset, crc, raw)

    def _observe(self, seen: Observation, written: str) -> None:
        if not self._make_room(seen.name, seen.context, record_size(seen.size + 96)):
            return
        active = self._table[seen.name]
        step = active.counter.accept(seen.step)
        payload = f'{{"step":{step},"time":{seen.time},"value":{written}}}'.encode()
        self._write(VALUE, active.number, payload)
        self.values += 1

    def _append(self, kind: str, payload: bytes, droppable: int) -> None:
        need, current = record_size(len(payload)), self._segment
        is_full = current is None or self._end + need > (self._points_limit if droppable else current.size)
        if is_full and not self._start_segment(need, is_point=droppable > 0):
            self.count_refused(droppable)
            return
        self._write(EVENT, 0, payload)
        if kind in ENDINGS:
            self.record_end(is_closed=False)
        elif kind == "producer_closed":
            self.record_end(is_closed=True)
            self._allocator.discard_preallocated()

    def _write(self, kind: int, series: int, payload: bytes) -> None:
        need, whole = record_size(len(payload)), pack_record(kind, series, payload)
        write = Struct(f"{len(whole)}s").pack_into
        offset = self._end
        self._end = offset + need
        self._other_bytes += need  # before the call: Ctrl-C may end this method at each of its calls
        write(self._map, offset, whole)

    def _make_room(self, name: str, context: StepContext, need: int) -> bool:
        """Define the series and make room for `need` bytes after it; False when the record is refused and counted."""
        table = self._tables.setdefault(context, {})
        definition = b"" if name in table else encode_definition(clean_name(name), context)
        whole = need + 2 * record_size(len(definition)) if definition else need
        if self._end + whole >= self._points_limit + SLOT:  # the last slot would begin at the limit, or after it
            definition = definition or encode_definition(clean_name(name), context)
            if not self._start_segment(need + 2 * record_size(len(definition)), is_point=True):
                self.count_refused(1)
                return False
            table = self._tables.setdefault(context, {})
        if definition:
            self._define(table, name, context, definition)
        self._table, self._context = table, context
        return True

    def _define(self, table: dict[str, ActiveSeries], name: str, context: StepContext, definition: bytes) -> None:
        fit = clean_name(name)
        current = self._segment
        assert current is not None
        counter = self.counters.find((fit, context[0], context[2]))
        active = table.get(fit)
        if active is None:
            active = ActiveSeries(len(current.series) + 1, counter)
            current.series[active.number] = SeriesDefinition(fit, context)
            for _ in range(2):  # a damaged definition must not cost a whole series
                self._write(SERIES, active.number, definition)
            table[fit] = active
        table[name] = active

    def _start_segment(self, need: int, *, is_point: bool) -> bool:
        """Continue in a new segment with room for `need` bytes; False when there is none for points."""
        last = self._segment
        number = last.number + 1 if last is not None else 1
        if last is None:
            made = self._create_first(need)
        else:
            if self.grant and self.read_cursor():  # the agent is perhaps further than when this process looked last
                self.delete_before(self.reached)
            spent = (last, self._end) if self.is_acknowledged_to((last.number, self._end)) else None
            made = self._allocator.allocate(number, need, spent=spent, restore=self.restore_files)
        if made is None and is_point:
            return False
        if made is None:
            made = self._allocator.allocate_reserve(number, need)
        # From here to the end nothing is called, so Ctrl-C cannot leave the end of one segment with the map of another.
        if last is not None:
            self._points_before += (self._end - last.first - self._other_bytes) // SLOT
            last.end = self._end
            if last.map is made.map:  # used again
                self._allocator.size -= last.size
                del self.segments[last.number]
        self.segments[number] = self._segment = made
        self._allocator.size += made.size
        self._map, self._end, self._other_bytes = made.map, made.first, 0
        self._points_limit = made.points_end
        self._tables, self._table, self._context = {}, {}, None
        self._rows, self._row = {}, None
        return True

    def _create_first(self, need: int) -> segments.Segment | None:
        """Create the folder and return the first segment, in memory where the folder cannot be used."""
        allocator, home = self._allocator, ""
        if self.folder:  # Ctrl-C came right after it was made
            self.start_again()
        allocator.header = self.build_header()
        try:
            self.create_files(home := journal_home())
            allocator.folder = self.folder
            return allocator.create(1, need)
        except OSError as error:
            self.remove()
            warn_unusable(home, error)
        except BaseException:  # Ctrl-C: the next record starts again; the error is passed on
            self.start_again()
            raise
        self.create_cursor()
        allocator.folder = ""
        return allocator.allocate(1, need, spent=None, restore=self.restore_files)
