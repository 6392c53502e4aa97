"""Rows of chunks as PostgreSQL returns them packed, made of the bytes that COPY sends there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from consumers.store.codec.copy_format import COLUMNS, encode_row
from consumers.store.rows import ChunkRow

_NUMBERS = {
    "first_index": ">q", "points": ">i", "min_step": ">q", "max_step": ">q", "min_time": ">q", "max_time": ">q",
    "non_finite": ">i",
}  # fmt: skip


def fields(encoded: bytes) -> Iterator[bytes | None]:
    """Yield the fields of one row of binary COPY; None is NULL."""
    (count,) = struct.unpack_from(">h", encoded)
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from(">i", encoded, at)
        at += 4
        yield None if length < 0 else encoded[at : at + length]
        at += max(length, 0)
    assert at == len(encoded)


def packed(row: ChunkRow) -> dict[str, Any]:
    """Return the columns of a row, numbers decoded and arrays in PostgreSQL's binary format."""
    held: dict[str, Any] = dict(zip(COLUMNS, fields(encode_row(row)), strict=True))
    for name, form in _NUMBERS.items():
        (held[name],) = struct.unpack(form, held[name])
    return held
