"""
What this process emitted for one run: the only thing `emit` writes to.

A file mapped into memory: once a method has returned, the kernel has what it was given, and SIGKILL of this process
loses nothing. `docs/journal.md` describes the bytes. One lock guards the end of the journal; a record's place is taken
before it is written, so a signal handler that emits in between gets a place of its own.

Bounded. At the bound, or when the disk is full, the newest points and values are refused and counted; events about the
run itself (lifecycle, params, tags, …) use a reserve, and memory after that. Where the folder cannot be written the
whole journal is in memory, with a bound of its own.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from struct import error as StructError
from threading import RLock
from time import time_ns
from zlib import crc32

from gateway.client.encoding.values import EXACT, INT64, clean_name, dumps, fit_clock
from gateway.client.ids import uuid7
from gateway.client.journal import segment as segments
from gateway.client.journal.allocator import SegmentAllocator
from gateway.client.journal.cursor import CLOSED, ENDED, BatchBoundary, ShippingCursor
from gateway.client.journal.entries import JournalEvent, Marker, Observation, warn_unusable
from gateway.client.journal.folder import JournalLock, build_meta, create_folder, delete_folder, journal_home
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
    scan,
    write_point,
)
from gateway.client.journal.series import (
    ENDINGS,
    ActiveSeries,
    SeriesDefinition,
    StepCounter,
    encode_definition,
    warn_invalid_step,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.client.journal.series import StepContext

TAIL_TIMEOUT_S = 0.1


class Journal:
    """The journal of one process for one run. Nothing is made on disk before the first record."""

    __slots__ = (
        "_acquire", "_counters", "_current", "_cuts_lock", "_deferred", "_end", "_here", "_is_changing",
        "_limit", "_lock", "_map", "_meta", "_not_points", "_points_before", "_release", "_space", "_table",
        "_tables", "cuts", "dropped", "folder", "is_trusted", "lock", "markers", "producer", "run_id",
        "segments", "values",
    )  # fmt: skip

    def __init__(self, run_id: str, *, is_owner: bool = True, attempt: int = 1, limit: int | None = None) -> None:
        self.run_id = run_id
        self.producer = uuid7()
        self.folder = ""  # "": in memory, or nothing written yet
        self.lock: JournalLock | None = None
        self.cuts: ShippingCursor | None = None
        self.segments: dict[int, segments.Segment] = {}
        self.markers: list[Marker] = []  # not reached yet
        self.is_trusted = True  # what is read back was written by this process
        self.dropped = 0  # points and values refused
        self.values = 0  # values that are no points
        self._meta = {"is_owner": is_owner, "attempt": attempt, "address": "", "topic": ""}
        self._space = SegmentAllocator(run_id, limit)
        self._lock = RLock()
        self._cuts_lock = RLock()  # of the state of the cuts
        self._acquire, self._release = self._lock.acquire, self._lock.release
        self._current: segments.Segment | None = None
        self._map: Any = None
        self._end = 0  # where the next record goes
        self._limit = 0  # where no point may start
        self._points_before = 0  # points in earlier segments
        self._not_points = 0  # bytes of this segment that are no points
        self._is_changing = False  # in the middle of something that takes several steps
        self._deferred: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._here: StepContext | None = None
        self._table: dict[str, ActiveSeries] = {}
        self._tables: dict[StepContext, dict[str, ActiveSeries]] = {}
        self._counters: dict[tuple[str, str, Any], StepCounter] = {}

    def send_to(self, address: str, topic: str) -> None:
        """Remember where its events are to go, for whoever ships it when this process is gone."""
        self._meta.update(address=address, topic=topic)

    # Written by any thread.

    def put(self, name: str, value: float | int, step: int | None, where: StepContext) -> None:
        """Append one metric point with the time of now. This is the hot path."""
        # Not `with self._lock`: that takes 80 ns longer.
        try:
            self._acquire()
            now = time_ns()
            while True:
                table = self._table
                if where is not self._here or self._end >= self._limit or name not in table:
                    if self._is_changing:
                        self._deferred.append((self.put, (name, value, step, where)))
                        return
                    if not self._change(self._make_room, name, where, SLOT):
                        return
                    continue
                known = table[name]
                if step is None:
                    step = known.counter.next()
                kind = 0 if value.__class__ is float else IS_INTEGER
                try:
                    raw = pack_point(POINT, kind, 0, known.number, 0, step, now, value)
                except StructError:
                    if now != (fit := fit_clock(now)):  # seen here alone: each test in the hot path takes 12 ns
                        now = fit
                        continue
                    warn_invalid_step(step)
                    step = None
                    continue
                if step > known.counter.top:  # noqa: PLR1730 -- max() takes 60 ns
                    known.counter.top = step
                crc = crc32(raw)
                # A signal handler may emit whenever Python has called something. From here to the end of the write
                # nothing is called but the write, so the place is never left empty.
                if self._table is table and where is self._here and self._end < self._limit:
                    place = self._end
                    self._end = place + SLOT
                    write_point(self._map, place, crc, raw)
                    return
        finally:
            try:  # noqa: SIM105 -- contextlib.suppress takes as long as all the rest
                self._release()
            except RuntimeError:
                pass  # Ctrl-C came while the lock was waited for

    def put_all(self, points: list[tuple[Any, Any]], step: Any, where: StepContext) -> list[tuple[Any, Any]]:
        """
        Append the metric points of one step, all with the time of now: half the time of `put` for each.

        Returns what it did not take, in order: what is no number, and points whose series is new in this segment.
        """
        rest: list[tuple[Any, Any]] = []
        with self._lock:
            now, table = fit_clock(time_ns()), self._table
            if where is not self._here or not (step is None or (type(step) is int and -INT64 <= step <= INT64)):
                return points
            for name, value in points:
                kind = type(value)
                is_number = kind is float or (kind is int and -EXACT <= value <= EXACT)
                if not is_number or name not in table:
                    rest.append((name, value))
                    continue
                known = table[name]
                counter = known.counter
                number = counter.next() if step is None else step
                raw = pack_point(POINT, 0 if kind is float else IS_INTEGER, 0, known.number, 0, number, now, value)
                if number > counter.top:  # noqa: PLR1730 -- max() takes 60 ns
                    counter.top = number
                crc = crc32(raw)
                # As in `put`: from here to the end of the write nothing is called but the write.
                if self._table is table and where is self._here and self._end < self._limit:
                    place = self._end
                    self._end = place + SLOT
                    write_point(self._map, place, crc, raw)
                else:
                    self.put(name, value, number, where)
        return rest

    def put_at(self, name: str, value: float | int, step: int | None, time: int, where: StepContext) -> None:
        """Append one metric point of another time (µs)."""
        with self._lock:
            self._change(self._put_at, name, value, step, time, where)

    def observe(self, seen: Observation) -> None:
        """Append one value that is not a metric point."""
        with self._lock:
            self._change(self._observe, seen, dumps(seen.typed))

    def append(self, item: JournalEvent | Marker) -> None:
        """Append what is never refused. An event that no record can hold leaves a heartbeat in its place."""
        if isinstance(item, Marker):
            item.place = self.tail()
            self.markers.append(item)
            return
        kind, payload = str(item.body["kind"]), item.payload()
        with self._lock:
            self._change(self._append, kind, payload)

    def try_append(self, item: JournalEvent) -> bool:
        """Append an event unless another thread holds the journal; that thread may be waiting for the caller's."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self.append(item)
            return True
        finally:
            self._lock.release()

    def lose(self, count: int) -> None:
        """Count points or values that will never be sent."""
        with self._cuts_lock:
            self.dropped += count
            if self.cuts is not None:
                self.cuts.dropped = self.dropped
                self.cuts.save()

    # Read by the producer.

    def tail(self) -> tuple[int, int]:
        """Return segment and offset of the end: everything before is written."""
        # A thread whose signal handler waits for the shipper, as finish() in one does, may hold the lock all that time.
        is_held = self._lock.acquire(timeout=TAIL_TIMEOUT_S)
        try:
            if self._current is None or (self._is_changing and not is_held):
                return (0, 0)
            return self._current.number, self._end
        finally:
            if is_held:
                self._release()

    def prepare(self) -> None:
        """Make the next segment once this one is half full, so that whoever emits need not wait for it."""
        current = self._current
        made = self._space.ahead(current.number + 1) if current is not None and self._wants_next(current) else None
        if current is None or made is None:
            return
        is_held = self._lock.acquire(timeout=TAIL_TIMEOUT_S)  # as in `tail`
        try:
            if is_held and self._wants_next(current):
                self._space.keep(made)
            else:
                made.delete()
        finally:
            if is_held:
                self._release()

    def _wants_next(self, current: segments.Segment) -> bool:
        is_open = self.cuts is not None and not self.cuts.flags & CLOSED
        return is_open and self._current is current and self._space.wants_next(current, self._end)

    @property
    def points(self) -> int:
        """How many metric points were taken."""
        with self._lock:
            if self._current is None:
                return 0
            return self._points_before + (self._end - self._current.first - self._not_points) // SLOT

    @property
    def unkept(self) -> int:
        """How many events about the run are not acknowledged and in no file: the disk had no room for them."""
        held = [one for one in list(self.segments.values()) if self.folder and not one.path]
        return sum(found.kind == EVENT for one in held for found in scan(memoryview(one.map), one.first, one.size))

    def record(self, cut: BatchBoundary, points: int) -> None:
        """Write down a cut, and how many metric points there are with it."""
        assert self.cuts is not None
        with self._cuts_lock:
            self.cuts.append(cut, points)

    def acknowledge(self, seq: int, cuts: int, place: tuple[int, int] | None) -> None:
        """Write down that the log has `cuts` more cuts, all records below `seq`; delete what is before `place`."""
        assert self.cuts is not None
        with self._cuts_lock:
            self.cuts.seq = seq
            self.cuts.acknowledged += cuts
            self.cuts.save()
        if place is not None:
            for number in [one for one in self.segments if one < place[0]]:
                segment = self.segments.pop(number)
                self._space.size -= segment.size
                segment.delete()

    def remove(self) -> None:
        """Delete the journal: all of it is acknowledged."""
        folder, self.folder = self.folder, ""
        if folder:
            delete_folder(folder)
        self.close()

    def close(self) -> None:
        """Let others ship what is left."""
        if self.lock is not None:
            self.lock.release()

    # Inside, with the lock held.

    def _change(self, do: Callable[..., Any], *given: Any) -> Any:
        """Do what takes several steps; what a signal handler emits meanwhile comes right after it."""
        if self._is_changing:
            self._deferred.append((do, given))
            return False
        self._is_changing, here, current = True, self._here, self._current
        self._here = None  # so that no point is put while things change
        try:
            return do(*given)
        finally:
            if self._here is None and self._current is current:
                self._here = here
            self._is_changing = False
            while self._deferred:
                later, what = self._deferred.popleft()
                later(*what) if later == self.put else self._change(later, *what)

    def _put_at(self, name: str, value: float | int, step: int | None, time: int, where: StepContext) -> None:
        if not self._make_room(name, where, SLOT):
            return
        known = self._table[name]
        number = known.counter.take(step)
        flags = (0 if isinstance(value, float) else IS_INTEGER) | IS_MICROS
        raw = pack_point(POINT, flags, 0, known.number, 0, number, time, value)
        crc = crc32(raw)
        place = self._end
        self._end = place + SLOT
        write_point(self._map, place, crc, raw)

    def _observe(self, seen: Observation, written: str) -> None:
        if not self._make_room(seen.name, seen.where, record_size(seen.size + 96)):
            return
        known = self._table[seen.name]
        step = known.counter.take(seen.step)
        payload = f'{{"step":{step},"time":{seen.time},"value":{written}}}'.encode()
        self._write(VALUE, known.number, payload)
        self.values += 1

    def _append(self, kind: str, payload: bytes) -> None:
        need = record_size(len(payload))
        if self._current is None or self._end + need > self._current.size:
            self._grow(need, is_point=False)
        self._write(EVENT, 0, payload)
        if self.cuts is not None and (kind in ENDINGS or kind == "producer_closed"):
            with self._cuts_lock:
                self.cuts.flags |= CLOSED if kind == "producer_closed" else ENDED
                self.cuts.save()
            if kind == "producer_closed":
                self._space.drop_next()

    def _write(self, kind: int, series: int, payload: bytes) -> None:
        need, whole = record_size(len(payload)), pack_record(kind, series, payload)
        write = Struct(f"{len(whole)}s").pack_into
        place = self._end
        self._end = place + need
        write(self._map, place, whole)
        self._not_points += need

    def _make_room(self, name: str, where: StepContext, need: int) -> bool:
        """Have a series defined and room after it for `need` bytes; False when the record is refused, and counted."""
        self._table = self._tables.setdefault(where, {})
        definition = b"" if name in self._table else encode_definition(clean_name(name), where)
        whole = need + 2 * record_size(len(definition)) if definition else need
        if self._end + whole > self._limit + SLOT:
            definition = definition or encode_definition(clean_name(name), where)
            if not self._grow(need + 2 * record_size(len(definition)), is_point=True):
                self.lose(1)
                return False
            self._table = self._tables.setdefault(where, {})
        if definition:
            self._define(name, where, definition)
        self._here = where
        return True

    def _define(self, name: str, where: StepContext, definition: bytes) -> None:
        fit = clean_name(name)
        current = self._current
        assert current is not None
        counter = self._counters.setdefault((fit, where[0], where[2]), StepCounter())
        known = self._table.get(fit)
        if known is None:
            known = ActiveSeries(len(current.series) + 1, counter)
            current.series[known.number] = SeriesDefinition(fit, where)
            for _ in range(2):  # a damaged definition must not cost a whole series
                self._write(SERIES, known.number, definition)
            self._table[fit] = known
        self._table[name] = known

    def _grow(self, need: int, *, is_point: bool) -> bool:
        """Go on in a new segment with room for `need` bytes; False when points cannot have one."""
        number = self._current.number + 1 if self._current is not None else 1
        made = self._start(need) if self._current is None else self._space.ordinary(number, need)
        if made is None and is_point:
            return False
        reserve = segments.reserve_of(number)
        if made is None:
            made, reserve = self._space.reserve(number, need), 0
        if self._current is not None:
            self._points_before += (self._end - self._current.first - self._not_points) // SLOT
            self._current.end = self._end
        self.segments[number] = self._current = made
        self._space.size += made.size
        self._map, self._end, self._not_points = made.map, made.first, 0
        self._limit = made.size - reserve if reserve else 0  # a segment made of need takes no points
        self._tables.clear()
        self._table, self._here = {}, None
        return True

    def _start(self, need: int) -> segments.Segment | None:
        """Make the folder and the first segment; where that cannot be, go on in memory."""
        home = journal_home()
        given = self._meta
        self._meta = build_meta(self.run_id, self.producer, **given)  # type: ignore[arg-type]  # the four of __init__
        self._space.header = dumps(self._meta).encode()
        try:
            self.folder, self.lock = create_folder(home, self._meta)
            self._begin()
            return self._space.make(1, need)
        except OSError as error:
            if self.folder:
                self.remove()
            warn_unusable(home, error)
        self._begin()
        return self._space.ordinary(1, need)

    def _begin(self) -> None:
        """Make the file of cuts. Raises OSError, but not in memory."""
        self._space.folder = self.folder
        self.cuts = ShippingCursor.create(self.folder, 0, self.producer)
        self.cuts.dropped = self.dropped
        self.cuts.publish()
