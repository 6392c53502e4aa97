"""Tables of `rows.py` as Arrow's, and Arrow's columns as ours."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from consumers.trackers.parquet import translate

_TYPES = {"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "t": pa.timestamp("us", tz="UTC")}
SCHEMAS = {
    table: pa.schema([pa.field(name, _TYPES[kind]) for name, kind in columns.items()])
    for table, columns in translate.TABLES.items()
}


def arrow(columns: translate.Columns, schema: Any) -> Any:
    """Return columns as an Arrow table; numbers are not copied, and repeated values are written out by Arrow."""
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def _column(column: Any, kind: Any) -> Any:
    if isinstance(column, array):
        return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])
    if isinstance(column, translate.Repeated):
        if not column.values:
            return pa.array([], kind)
        ends = pa.array(column.ends, pa.int64())
        return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, pa.array(column.values, kind)))
    return pa.array(column, kind)


def counted(names: Any) -> tuple[list[str], list[int]]:
    """Return each name of a sorted column once, and how often it is there."""
    runs = pc.run_end_encode(names.combine_chunks())
    ends = runs.run_ends.to_pylist()
    return runs.values.to_pylist(), [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def numbers(column: Any) -> array[Any]:
    """Return a column of 64-bit numbers without nulls, copied from Arrow's memory."""
    (chunk,) = column.chunks
    kind = "d" if pa.types.is_floating(chunk.type) else "q"
    at = 8 * chunk.offset
    return array(kind, bytes(memoryview(chunk.buffers()[1])[at : at + 8 * len(chunk)]))


def write_table(table: Any, path: Path) -> None:
    """Write a file, in place."""
    pq.write_table(table, path, compression="zstd", use_dictionary=_dictionary(table), store_schema=False)


def _dictionary(table: Any) -> list[str]:
    return [field.name for field in table.schema if field.type == pa.string()]


def integer_times(table: str) -> Any:
    """Return the schema of a table with its times as numbers, µs since 1970-01-01 UTC."""
    plain = [pa.field(one.name, pa.int64() if pa.types.is_timestamp(one.type) else one.type) for one in SCHEMAS[table]]
    return pa.schema(plain)
