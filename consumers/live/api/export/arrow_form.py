"""
Blocks as Parquet, or as an Arrow stream: the one file of the API that imports pyarrow, which is in the extra `parquet`.

Text is exact here, and dictionary-encoded, because an id repeats in every row. What is written is handed on at once, so
that neither form is ever in memory as a whole.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Sequence
from typing import Any

from consumers.store.export.blocks import Block, Cells, Column, Same

PARQUET_TYPE = "application/vnd.apache.parquet"
ARROW_TYPE = "application/vnd.apache.arrow.stream"


class ArrowForm:
    """Turns blocks of a table into Parquet, or into an Arrow stream. Raises ImportError where pyarrow is missing."""

    def __init__(self, columns: Sequence[Column], *, parquet: bool) -> None:
        import pyarrow as arrow
        import pyarrow.parquet

        self._arrow = arrow
        text = arrow.dictionary(arrow.int32(), arrow.string())
        types = {"text": text, "int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_()}
        self._schema = arrow.schema([(column.name, types[column.kind]) for column in columns])
        self._written = _Written()
        if parquet:
            self._writer: Any = arrow.parquet.ParquetWriter(self._written, self._schema, compression="zstd")
        else:
            self._writer = arrow.ipc.new_stream(self._written, self._schema)

    def begin(self) -> bytes:
        """Return the first bytes of the file."""
        return self._written.take()

    def block(self, block: Block) -> bytes:
        """Return the bytes of a block."""
        cells = [self._array(some, field.type) for some, field in zip(block.cells, self._schema, strict=True)]
        self._writer.write_batch(self._arrow.RecordBatch.from_arrays(cells, schema=self._schema))
        return self._written.take()

    def end(self) -> bytes:
        """Return the last bytes; without them the file is not whole, and readers refuse it."""
        self._writer.close()
        return self._written.take()

    def _array(self, cells: Cells, kind: Any) -> Any:
        arrow = self._arrow
        if isinstance(cells, Same):
            if arrow.types.is_dictionary(kind):
                return arrow.DictionaryArray.from_arrays(
                    arrow.array([0] * len(cells), arrow.int32()), arrow.array([cells.value], arrow.string())
                )
            return arrow.repeat(arrow.scalar(cells.value, kind), len(cells))
        if isinstance(cells, array):
            return arrow.Array.from_buffers(kind, len(cells), [None, arrow.py_buffer(cells)])
        if arrow.types.is_dictionary(kind):
            return arrow.array(cells, arrow.string()).dictionary_encode()
        return arrow.array(cells, kind)


class _Written(io.RawIOBase):
    """A file that only its writer sees whole; each piece is taken once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        found, self._pieces = b"".join(self._pieces), []
        return found
