"""
Append the points of records that hold one row a step of many series.

Per record only three columns are extended: the rows of a set of series wait until the batch ends, or until another
record has points of one of these series. Then they become the columns of each series. So a series costs once a batch,
and a point costs the same however many series there are.

Which rows the store has of the open points depends on the points alone: a row ends before each index that is a multiple
of ROW_POINTS. Therefore it makes no difference how often the waiting rows were passed on in between.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers.materialiser.fold.chunks import append_columns
from consumers.materialiser.fold.summary import add_column, newest_of

if TYPE_CHECKING:
    from consumers.store.rows import Changes, SeriesRow
    from schemas.columns import FloatArray, IntArray
    from schemas.events import MetricRows


@dataclass(slots=True)
class RowSet:
    """The series of one list of names, in the order of the names, and the rows that wait to be passed on to them."""

    series: list[SeriesRow]
    steps: IntArray = field(default_factory=lambda: array("q"))
    times: IntArray = field(default_factory=lambda: array("q"))  # µs
    cells: FloatArray = field(default_factory=lambda: array("d"))  # row by row
    expected: int = 0  # rows of the batch that is about to be folded
    integers: set[int] | None = None  # positions of the series of which all waiting values were ints

    def append(self, event: MetricRows, changes: Changes) -> None:
        """Have the rows of an event wait."""
        if not self.steps:
            for row in self.series:
                if row.waiting is not None:
                    row.waiting.pass_on(changes)
                row.waiting = self
            changes.waiting.append(self)
        self.steps.extend(event.steps)
        self.times.extend(event.times)
        for values in event.values:
            self.cells.extend(values)
        if event.integers or self.integers is None:
            integers = set(event.integers)
            self.integers = integers if self.integers is None else self.integers & integers
        else:
            self.integers.clear()

    def pass_on(self, changes: Changes) -> None:
        """Append what waits to each of the series."""
        steps, times, cells, integers = self.steps, self.times, self.cells, self.integers or ()
        self.steps, self.times, self.cells, self.integers = array("q"), array("q"), array("d"), None
        if not steps:
            return
        newest = newest_of(steps, times)
        month = self.series[0].month
        changes.new_points[month] = changes.new_points.get(month, 0) + len(cells)
        is_finite = math.isfinite(sum(cells))
        for at, row in enumerate(self.series):
            row.waiting = None
            values = cells[at :: len(self.series)]
            if at not in integers:
                row.integer = False
            add_column(row, newest, steps, times, values, is_finite=is_finite)
            append_columns(row, steps, times, values, changes)
            changes.series[row.series_id] = row
