"""
What `gateway.read` returns: columns in memory, which become a pandas data frame, an Arrow table or dicts.

The one file of this side that imports pandas and pyarrow. Neither is needed for anything else.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from gateway.client.errors import ClientError

SHOWN_ROWS = 5
Cells = Sequence[Any]


class Table:
    """
    Rows of one answer. Iterating gives each row as a dict; `columns` has the same by column.

    `exact`: the rows are everything that was asked for, each as it was recorded. `count`: how many there are in the
    store, in this answer or not. `as_of`: the offsets of the log that the answer includes; pass it as `min_offsets` to
    a later read. `cut`: what is not in the answer and how to get it; "" for nothing.
    """

    def __init__(
        self,
        columns: Mapping[str, Cells],
        *,
        exact: bool = True,
        count: int | None = None,
        as_of: str = "",
        cut: str = "",
        next_page_token: str | None = None,
    ) -> None:
        self.columns = dict(columns)
        self._rows = len(next(iter(self.columns.values()), ()))
        self.exact, self.as_of, self.cut = exact, as_of, cut
        self.count = self._rows if count is None else count
        self.next_page_token = next_page_token

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, at: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(self._rows))]
        return {name: cells[at] for name, cells in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        names = list(self.columns)
        return (dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True))

    def __repr__(self) -> str:
        lines = [
            f"{type(self).__name__}({len(self):,} of {self.count:,} rows, "
            f"{'exact' if self.exact else 'not exact'}, columns {', '.join(self.columns)})"
        ]
        lines += [f"  {self[at]}" for at in range(min(SHOWN_ROWS, len(self)))]
        lines += ["  …"] * (len(self) > SHOWN_ROWS)
        return "\n".join([*lines, *([f"  cut: {self.cut}"] if self.cut else [])])

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as dicts."""
        return list(self)

    def to_pandas(self) -> Any:
        """
        Return a pandas.DataFrame. Raises ClientError without pandas.

        Columns of int64 and float64 are kept as such; `attrs` has exact, count, as_of and cut.
        """
        try:
            import pandas
        except ImportError as error:
            raise ClientError("to_pandas needs pandas: install it with `pip install pandas`") from error
        frame = pandas.DataFrame(self._plain(), columns=list(self.columns))
        frame.attrs |= {"exact": self.exact, "count": self.count, "as_of": self.as_of, "cut": self.cut}
        return frame

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table; its schema's metadata has exact, count, as_of and cut. Raises ClientError."""
        try:
            import pyarrow
        except ImportError as error:
            raise ClientError(
                'to_arrow needs pyarrow: install it with `pip install "tracking-gateway[parquet]"`'
            ) from error
        table = pyarrow.table({name: _arrow_cells(pyarrow, cells) for name, cells in self.columns.items()})
        facts = {"exact": str(self.exact).lower(), "count": str(self.count), "as_of": self.as_of, "cut": self.cut}
        return table.replace_schema_metadata(facts)

    def _plain(self) -> dict[str, Any]:
        import pandas

        return {
            name: pandas.array(memoryview(cells), dtype="int64" if cells.typecode == "q" else "float64").to_numpy()
            if isinstance(cells, array)
            else list(cells)
            for name, cells in self.columns.items()
        }


def _arrow_cells(pyarrow: Any, cells: Cells) -> Any:
    """Return a column of Arrow; of values that have no type together, the text of each."""
    if isinstance(cells, array):
        kind = pyarrow.int64() if cells.typecode == "q" else pyarrow.float64()
        return pyarrow.Array.from_buffers(kind, len(cells), [None, pyarrow.py_buffer(cells)])
    try:
        return pyarrow.array(cells)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        return pyarrow.array([None if one is None else one if isinstance(one, str) else str(one) for one in cells])
