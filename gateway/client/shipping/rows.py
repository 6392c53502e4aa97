"""
Rows of many series, from the journal into events `metric_rows`. Pure: no clock, no I/O.

A row of few series becomes points of each of them; one of many stays a row, so that neither the record nor any reader
of it spends anything on a series.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from gateway.client.encoding.values import dumps, float_to_json
from gateway.client.journal.format import read_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.client.journal.rows.columns import ColumnsDefinition

MAX_ROW_POINTS = 8_000  # points in rows, in one cut
VALUE_BYTES = 20  # of a value of a row in JSON


class Row(NamedTuple):
    """One row: the points of one step."""

    step: int
    time: int  # ns
    values: Sequence[float]
    mask: bytes  # 1 for each value that was an int; empty: none was

    @classmethod
    def read(cls, payload: bytes) -> Row:
        """Return the row of a record."""
        return cls(*read_row(payload))


def encode_rows(
    columns: ColumnsDefinition,
    rows: Sequence[Row],
    integers: Callable[[Sequence[int]], bytes],
    floats: Callable[[Sequence[float]], bytes],
) -> tuple[bytes, int]:
    """Return the JSON of rows with the same columns, and the time of the last one in µs."""
    every = [row.mask for row in rows if row.mask]
    whole = [at for at in range(columns.count) if all(mask[at] for mask in every)] if len(every) == len(rows) else []
    times = [row.time // 1_000 for row in rows]
    parts = [columns.head]
    if whole:
        parts.append(b'"integers":' + integers(whole))
    parts.append(b'"steps":' + integers([row.step for row in rows]))
    parts.append(b'"times":' + integers(times))
    parts.append(b'"values":[%b]' % b",".join(_encode_values(row, floats) for row in rows))
    return b",".join(parts), max(times)


def _encode_values(row: Row, floats: Callable[[Sequence[float]], bytes]) -> bytes:
    values: Sequence[float] = row.values
    if row.mask:
        values = [int(value) if is_int else value for is_int, value in zip(row.mask, values, strict=True)]
    if math.isfinite(sum(values)):
        return floats(values)
    return dumps([value if isinstance(value, int) else float_to_json(value) for value in values]).encode()
