"""
A table that is too large to be held: its columns, and its rows in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, Literal, NamedTuple

Kind = Literal["text", "int", "float", "bool"]
Cells = Sequence[Any]  # of one column; None: there is no value


class Column(NamedTuple):
    """A column of an export. `int` is int64, `float` float64."""

    name: str
    kind: Kind


class Block(NamedTuple):
    """Consecutive rows: of each column as many cells."""

    rows: int
    cells: Sequence[Cells]


class Same(Sequence[Any]):
    """A column whose cells all hold one value; it takes no memory."""

    __slots__ = ("_count", "value")

    def __init__(self, value: Any, count: int) -> None:
        self.value, self._count = value, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Any:
        return [self.value] * len(range(*at.indices(self._count))) if isinstance(at, slice) else self.value

    def __iter__(self) -> Iterator[Any]:
        return repeat(self.value, self._count)
