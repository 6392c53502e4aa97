"""Binary COPY against the layout that PostgreSQL documents, read back field by field."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from consumers.store.copy_format import END, HEAD, PIECE_BYTES, copy_stream, encode_row
from consumers.store.rows import ChunkRow

INT8 = st.integers(-(2**63), 2**63 - 1)
SERIES = UUID("00112233-4455-6677-8899-aabbccddeeff")


def row(points: list[tuple[int, int, float]], *, low: float | None = 1.0, high: float | None = 2.0) -> ChunkRow:
    return ChunkRow(
        series_id=SERIES,
        first_index=7,
        month=202311,
        points=len(points),
        min_step=-1,
        max_step=2,
        min_time=3,
        max_time=4,
        first_value=math.nan,
        last_value=-0.0,
        min_value=low,
        max_value=high,
        non_finite=5,
        steps=array("q", [point[0] for point in points]),
        times=array("q", [point[1] for point in points]),
        point_values=array("d", [point[2] for point in points]),
    )


def fields(encoded: bytes) -> Iterator[bytes | None]:
    (count,) = struct.unpack_from(">h", encoded)
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from(">i", encoded, at)
        at += 4
        yield None if length < 0 else encoded[at : at + length]
        at += max(length, 0)
    assert at == len(encoded)


def values(encoded: bytes | None, kind: str) -> tuple[int, list[Any]]:
    assert encoded is not None
    dimensions, nulls, oid, count, lower = struct.unpack_from(">5i", encoded)
    assert (dimensions, nulls, lower) == (1, 0, 1)
    found = [struct.unpack_from(f">i{kind}", encoded, 20 + 12 * at) for at in range(count)]
    assert len(encoded) == 20 + 12 * count
    assert {length for length, _ in found} <= {8}
    return oid, [value for _, value in found]


@given(st.lists(st.tuples(INT8, INT8, st.floats()), min_size=1, max_size=30))
def test_every_point_is_in_the_arrays_bit_for_bit(points: list[tuple[int, int, float]]) -> None:
    *_, steps, times, point_values = fields(encode_row(row(points)))

    assert values(steps, "q") == (20, [point[0] for point in points])
    assert values(times, "q") == (20, [point[1] for point in points])
    oid, bits = values(point_values, "8s")
    assert oid == 701
    assert bits == [struct.pack(">d", point[2]) for point in points]


def test_the_other_columns_follow_the_table() -> None:
    found = list(fields(encode_row(row([(1, 1, 1.0)]))))

    assert found[0] == SERIES.bytes
    assert found[1:8] == [struct.pack(form, value) for form, value in zip(
        (">q", ">i", ">i", ">q", ">q", ">q", ">q"), (7, 202311, 1, -1, 2, 3, 4), strict=True
    )]  # fmt: skip
    assert found[8:13] == [struct.pack(form, value) for form, value in zip(
        (">d", ">d", ">d", ">d", ">i"), (math.nan, -0.0, 1.0, 2.0, 5), strict=True
    )]  # fmt: skip


def test_bounds_of_nothing_finite_are_null() -> None:
    found = list(fields(encode_row(row([(1, 1, math.inf)], low=None, high=None))))

    assert found[10:12] == [None, None]


def test_pieces_are_one_stream_with_a_head_and_an_end() -> None:
    rows = [row([(at, at, 1.0) for at in range(1_000)])] * 40

    pieces = list(copy_stream(rows))

    assert b"".join(pieces) == HEAD + b"".join(map(encode_row, rows)) + END
    assert max(map(len, pieces)) < PIECE_BYTES + len(encode_row(rows[0]))
    assert len(pieces) > 1
