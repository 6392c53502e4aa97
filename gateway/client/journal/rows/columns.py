"""
The columns of rows: the series of one `emit({...})`, resolved once for a segment, and the bytes of a row.

A training calls `emit` with the same names again and again. Its points then become one record instead of one for each:
the step and the time once, and eight bytes a value. docs/journal.md describes the records.
"""

from __future__ import annotations

import json
from itertools import islice
from struct import Struct
from zlib import crc32

from gateway.client.encoding.values import EXACT, clean_name, dumps
from gateway.client.journal.format import CRC_BYTES, HEAD_BYTES, POINT_ROW, ROW_HEAD, record_size
from gateway.client.journal.series import encode_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from gateway.client.journal.series import StepContext, StepCounter

MAX_COLUMNS = 1_000  # of one row; `emit` of more names writes several
MAX_NAMES_CHARS = 100_000  # of all names of a row: with its values they fit into a record of the log
WIDE = 32  # columns from which on a record of the log has rows, too
MAX_SETS = 1_000  # lists of names in a segment
_NUMBERS = frozenset({float, int})


class RowColumns:
    """The series of a row in the segment that is being written."""

    __slots__ = (
        "_pack",
        "_write_masked",
        "_write_plain",
        "context",
        "counters",
        "names",
        "number",
        "plain_size",
        "size",
    )

    def __init__(self, names: list[str], context: StepContext, number: int, counters: list[StepCounter]) -> None:
        self.names = names
        self.context = context
        self.number = number  # in this segment
        self.counters = counters
        self.size = size_of(len(names))  # bytes of a row at most
        self.plain_size = record_size(ROW_HEAD.size + 8 * len(names))  # ... without ints
        self._pack = Struct(f"<BBHIIqQII{len(names)}d").pack
        plain = HEAD_BYTES - CRC_BYTES + ROW_HEAD.size + 8 * len(names)
        self._write_plain = Struct(f"<I{plain}s").pack_into  # CRC, then the rest
        self._write_masked = Struct(f"<I{plain + len(names)}s").pack_into

    def next_step(self) -> int | None:
        """Return the next step of all series, and count it; None if it is not the same for all of them."""
        largest = self.counters[0].largest
        for counter in self.counters:
            if counter.largest != largest:
                return None
        for counter in self.counters:
            step = counter.next()
        return step

    def accept(self, step: int) -> None:
        """Count a step of all series."""
        for counter in self.counters:
            if step > counter.largest:  # noqa: PLR1730 -- max() takes 60 ns
                counter.largest = step

    def encode(self, step: int, time: int, values: list[Any], mask: bytes) -> tuple[Any, int, bytes]:
        """Return what writes a row into a map, its CRC, and the rest of its bytes; `time` is in ns."""
        count = len(values)
        length = ROW_HEAD.size + 8 * count + len(mask)
        raw = self._pack(POINT_ROW, 0, 0, length, self.number, step, time, count, bool(mask), *values) + mask
        return (self._write_masked if mask else self._write_plain), crc32(raw), raw


def is_row(names: list[Any], sets: int) -> bool:
    """Return whether points with these names may be a row, as one more of `sets` lists of names in a segment."""
    if not 0 < len(names) <= MAX_COLUMNS or sets >= MAX_SETS or set(map(type, names)) != {str}:
        return False
    return sum(map(len, names)) <= MAX_NAMES_CHARS and all(clean_name(name) == name for name in names)


def size_of_definitions(names: Sequence[str], context: StepContext) -> int:
    """Return the bytes of the records that define these columns, at most."""
    if len(names) >= WIDE:
        return 2 * record_size(len(encode_columns((), names, context)))
    series = sum(record_size(len(encode_definition(name, context))) for name in names)
    return 2 * (series + record_size(20 + 12 * len(names)))


def numbers_and_rest(points: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the points that may be in a row, and what else there is."""
    numbers = {
        name: value
        for name, value in points.items()
        if type(value) is float or (type(value) is int and -EXACT <= value <= EXACT)
    }
    return numbers, {} if len(numbers) == len(points) else {k: v for k, v in points.items() if k not in numbers}


def pieces(points: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield points in rows of at most MAX_COLUMNS."""
    left = iter(points.items())
    while piece := dict(islice(left, MAX_COLUMNS)):
        yield piece


def size_of(columns: int) -> int:
    """Return the bytes, in whole slots, of a row of so many columns, whatever its values are."""
    return record_size(ROW_HEAD.size + 9 * columns)


def mask_of(values: list[Any]) -> bytes | None:
    """Return a byte for each value, 1 for an int, b"" without ints; None when one is no number that float64 holds."""
    kinds = list(map(type, values))
    if kinds.count(float) == len(kinds):
        return b""
    if not _NUMBERS.issuperset(kinds):
        return None
    if any(type(value) is int and not -EXACT <= value <= EXACT for value in values):
        return None
    return bytes([type(value) is int for value in values])


class ColumnsDefinition:
    """The columns that a number in a segment stands for: numbers of series, or, if there are many, their names."""

    __slots__ = ("attempt", "bytes", "count", "head", "series", "step_name")

    def __init__(self, series: Sequence[int], names: Sequence[str], context: StepContext) -> None:
        self.series = tuple(series)
        self.step_name, self.attempt, labels = context
        self.count = len(series) or len(names)
        shown = dumps(list(names)) if names else ""
        self.head = f'"names":{shown}{f""","labels":{dumps(dict(labels))}""" if labels else ""}'.encode()
        self.bytes = len(self.head) + 96  # estimated JSON without rows

    @classmethod
    def read(cls, payload: bytes) -> ColumnsDefinition:
        """Return the columns that a record defines. Raises ValueError, KeyError or TypeError when it defines none."""
        found = json.loads(payload)
        if "series" in found:
            return cls([int(one) for one in found["series"]], (), ("", 0, ()))
        labels = tuple((str(key), str(text)) for key, text in found["labels"])
        names = [str(name) for name in found["names"]]
        if not names:
            raise ValueError("no names")
        return cls((), names, (str(found["step_name"]), int(found["attempt"]), labels))


def encode_columns(series: Sequence[int], names: Sequence[str], context: StepContext) -> bytes:
    """Return the payload of the record that defines columns."""
    if series:
        return dumps({"series": list(series)}).encode()
    labels = [list(pair) for pair in context[2]]
    return dumps({"names": list(names), "step_name": context[0], "attempt": context[1], "labels": labels}).encode()
