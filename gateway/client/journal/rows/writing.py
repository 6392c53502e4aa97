"""
Write rows into a journal: the points of one `emit({...})` as one record.
"""

from __future__ import annotations

from time import time_ns

from gateway.client.encoding.values import INT64, fit_clock
from gateway.client.journal.format import COLUMNS, SLOT
from gateway.client.journal.rows.columns import (
    MAX_COLUMNS,
    WIDE,
    ColumnsDefinition,
    RowColumns,
    encode_columns,
    is_row,
    mask_of,
    numbers_and_rest,
    pieces,
    size_of,
    size_of_definitions,
)
from gateway.client.journal.series import encode_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from threading import RLock
    from typing import Any

    from gateway.client.journal.segment import Segment
    from gateway.client.journal.series import ActiveSeries, StepContext, StepCounters


class RowWriting:
    """The methods of a journal that write rows."""

    __slots__ = ()

    if TYPE_CHECKING:
        counters: StepCounters
        _deferred: deque[tuple[Callable[..., Any], tuple[Any, ...]]]
        _end: int
        _is_changing: bool
        _lock: RLock
        _map: Any
        _other_bytes: int
        _points_before: int
        _points_limit: int
        _row: RowColumns | None
        _rows: dict[tuple[StepContext, tuple[str, ...]], RowColumns]
        _segment: Segment | None
        _tables: dict[StepContext, dict[str, ActiveSeries]]

        def put(self, name: str, value: float | int, step: int | None, context: StepContext) -> None: ...  # noqa: D102 -- see Journal
        def count_refused(self, count: int) -> None: ...  # noqa: D102 -- see JournalFiles
        def _change(self, do: Callable[..., Any], *given: Any) -> Any: ...
        def _define(self, table: Any, name: str, context: StepContext, definition: bytes) -> None: ...
        def _start_segment(self, need: int, *, is_point: bool) -> bool: ...
        def _write(self, kind: int, series: int, payload: bytes) -> None: ...

    def put_rows(self, points: dict[str, Any], step: int | None, context: StepContext) -> dict[str, Any]:
        """Append those of one step that are metric points, as rows, all with the current time; return the rest."""
        if len(points) <= MAX_COLUMNS and self.put_row(points, step, context):
            return {}
        numbers, rest = numbers_and_rest(points)
        if len(points) <= MAX_COLUMNS and (not rest or len(numbers) < WIDE):
            return points
        for piece in pieces(numbers):
            if not self.put_row(piece, step, context):
                rest |= piece
        return rest

    def put_row(self, points: dict[str, Any], step: int | None, context: StepContext) -> bool:
        """
        Append the metric points of one step as one record, all with the current time.

        Returns False, and appends nothing, when they are no row: for a value that is no number, or a name that cannot
        stay as it is.
        """
        names, values = list(points), list(points.values())
        mask = mask_of(values)
        if mask is None or not (step is None or (type(step) is int and -INT64 <= step <= INT64)):
            return False
        with self._lock:
            now = fit_clock(time_ns())
            while True:
                if self._is_changing:  # a signal handler emits in the middle of a change
                    self._deferred.append((self.put_late, (points, step, context)))
                    return True
                rows, columns = self._rows, self._row
                if columns is None or columns.names != names or columns.context != context:
                    columns = rows.get((context, tuple(names)))
                if columns is None or self._end + columns.size >= self._points_limit + SLOT:
                    if (made := self._change(self._make_row_room, names, context)) is not True:
                        return self._refuse_row(values) if made is None else False
                    continue
                if step is None:
                    step = columns.next_step()
                    if step is None:
                        return False
                else:
                    columns.accept(step)
                write, crc, raw = columns.encode(step, now, values, mask)
                need, count, memory = columns.size if mask else columns.plain_size, len(values), self._map
                # As in `put`: from here to the end of the write nothing is called but the write.
                if self._rows is rows and self._end + need < self._points_limit + SLOT:
                    self._row = columns  # type: ignore[misc]  # a slot of Journal
                    offset = self._end
                    self._end = offset + need  # type: ignore[misc]  # a slot of Journal
                    self._other_bytes += need  # type: ignore[misc]  # a slot of Journal
                    self._points_before += count  # type: ignore[misc]  # a slot of Journal
                    write(memory, offset, crc, raw)
                    return True

    def put_late(self, points: dict[str, Any], step: int | None, context: StepContext) -> None:
        """Append points that a signal handler emitted during a change."""
        if not self.put_row(points, step, context):
            for name, value in points.items():
                self.put(name, value, step, context)

    def _make_row_room(self, names: list[str], context: StepContext) -> bool | None:
        """Define columns and make room for a row of them; False if they cannot be columns, None if there is no room."""
        known = self._rows.get((context, tuple(names)))
        if known is None and not is_row(names, len(self._rows)):
            return False
        need, definitions = size_of(len(names)), size_of_definitions(names, context)
        whole = need if known is not None else need + definitions
        if self._end + whole >= self._points_limit + SLOT:
            if not self._start_segment(need + definitions, is_point=True):
                return None
            known = None
        if known is None:
            self._define_columns(names, context)
        return True

    def _define_columns(self, names: list[str], context: StepContext) -> None:
        current, table = self._segment, self._tables.setdefault(context, {})
        assert current is not None
        series: list[int] = []
        if len(names) < WIDE:
            for name in names:
                if name not in table:
                    self._define(table, name, context, encode_definition(name, context))
                series.append(table[name].number)
        counters = [self.counters.find((name, context[0], context[2])) for name in names]
        number = len(current.columns) + 1
        current.columns[number] = ColumnsDefinition(series, () if series else names, context)
        for _ in range(2):  # as of a series
            self._write(COLUMNS, number, encode_columns(series, names, context))
        self._rows[context, tuple(names)] = RowColumns(names, context, number, counters)

    def _refuse_row(self, values: list[Any]) -> bool:
        """Count a row for which there is no room as dropped. Returns True: nothing is left to do."""
        self.count_refused(len(values))
        return True
