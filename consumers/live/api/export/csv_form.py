r"""
Blocks as CSV (RFC 4180): UTF-8, lines end with CR LF, the first line names the columns.

A cell without a value is empty. Floats have the shortest digits that give the same float64 back; NaN and infinities are
NaN, Infinity and -Infinity. Spreadsheets execute text that begins with = + - @, a tab or a line break as a formula, and
names and parameters may come from anybody who may write. So text that begins with one of these, or with ', gets a '
in front: without the first ' of a cell that begins with one, each text is as it was recorded. Numbers are not changed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from consumers.store.export.blocks import Block, Cells, Column, Kind, Same
from schemas.columns import float_to_json

MEDIA_TYPE = "text/csv; charset=utf-8"
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


class CsvForm:
    """Turns blocks of a table into CSV."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns

    def begin(self) -> bytes:
        """Return the first line."""
        return _lines([[harmless(column.name) for column in self._columns]])

    def block(self, block: Block) -> bytes:
        """Return the lines of a block."""
        columns = [_cells(column.kind, cells) for column, cells in zip(self._columns, block.cells, strict=True)]
        return _lines(zip(*columns, strict=True))

    def end(self) -> bytes:
        """Return nothing: CSV has no end."""
        return b""


def harmless(text: str | None) -> str:
    """Return text that no spreadsheet takes for a formula; see above."""
    if not text:
        return ""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def _cells(kind: Kind, cells: Cells) -> Iterable[object]:
    if isinstance(cells, Same):
        (only,) = _cells(kind, [cells.value])
        return Same(only, len(cells))
    if kind == "text":
        return map(harmless, cells)
    if kind == "bool":
        return ["" if one is None else "true" if one else "false" for one in cells]
    if kind == "float" and not all(one is not None and math.isfinite(one) for one in cells):
        return ["" if one is None else float_to_json(one) for one in cells]
    return cells


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
