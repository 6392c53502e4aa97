"""Binary COPY compared with the layout that PostgreSQL documents, field by field."""

from __future__ import annotations

import math
import struct
from array import array
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.store.codec.chunks import columns_of, unpack
from consumers.store.codec.copy_format import END, HEAD, PIECE_BYTES, copy_stream, encode_row
from consumers.store.rows import ChunkRow
from tests.support.packed_chunks import fields, packed

INT8 = st.integers(-(2**63), 2**63 - 1)
SERIES = UUID("00112233-4455-6677-8899-aabbccddeeff")


def row(points: list[tuple[int, int, float]], *, low: float | None = 1.0, high: float | None = 2.0) -> ChunkRow:
    return ChunkRow(
        series_id=SERIES,
        first_index=7,
        month=202311,
        points=len(points),
        min_step=min(point[0] for point in points),
        max_step=max(point[0] for point in points),
        min_time=min(point[1] for point in points),
        max_time=max(point[1] for point in points),
        first_value=math.nan,
        last_value=-0.0,
        min_value=low,
        max_value=high,
        non_finite=5,
        steps=array("q", [point[0] for point in points]),
        times=array("q", [point[1] for point in points]),
        point_values=array("d", [point[2] for point in points]),
    )


def values(encoded: bytes, expected: int, kind: str) -> list[Any]:
    dimensions, nulls, oid, count, lower = struct.unpack_from(">5i", encoded)
    assert (dimensions, nulls, oid, lower) == (1, 0, expected, 1)
    each = struct.Struct(f">i{kind}")
    assert len(encoded) == 20 + each.size * count
    found = [each.unpack_from(encoded, 20 + each.size * at) for at in range(count)]
    assert {length for length, _ in found} <= {each.size - 4}
    return [value for _, value in found]


def stored(of: ChunkRow) -> dict[str, Any]:
    """Return the columns of a row as a driver decodes them."""
    held = packed(of)
    for name, oid, kind in [
        ("steps", 20, "q"),
        ("times", 20, "q"),
        ("time_deltas", 23, "i"),
        ("point_values", 701, "d"),
    ]:
        held[name] = None if held[name] is None else values(held[name], oid, kind)
    return held


@given(
    st.one_of(
        st.lists(st.tuples(INT8, INT8, st.floats()), min_size=1, max_size=50),
        st.builds(
            lambda first, stride, time, gaps: [
                (first + at * stride, time + sum(gaps[:at]), float(at)) for at in range(len(gaps))
            ],
            st.integers(-3, 2**54), st.integers(-2, 5), st.integers(-3, 2**40),
            st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**31)), min_size=1, max_size=60),
        ),
    )
)  # fmt: skip
def test_every_point_is_read_back_bit_for_bit(points: list[tuple[int, int, float]]) -> None:
    held = stored(row(points))

    steps, times, read = columns_of(held)

    assert list(steps) == [point[0] for point in points]
    assert list(times) == [point[1] for point in points]
    assert struct.pack(f"{len(points)}d", *read) == struct.pack(f"{len(points)}d", *(point[2] for point in points))
    assert (held["times"] is None) != (held["time_deltas"] is None)
    twice = unpack([packed(row(points))] * 2)
    assert [column.tobytes() for column in twice] == [
        array(kind, 2 * list(column)).tobytes() for kind, column in zip("qqd", (steps, times, read), strict=True)
    ]


@pytest.mark.parametrize(
    ("steps", "times", "left_out"),
    [
        ([5], [7], (True, True)),
        ([0, 1, 2], [10, 30, 20], (True, True)),
        ([3, 3, 3], [0, 0, 2**31 - 1], (True, True)),
        ([0, 100, 200], [0, 1, 2**31], (True, False)),
        ([0, 2, 1], [0, 1, 2], (False, True)),
        ([3, 2, 1], [0, 1, 2], (False, True)),
        ([0, 1, 3], [0, 1, 2], (False, True)),
        ([-1, 0, 1], [-1, 0, 1], (False, False)),
        ([0, 2**53], [0, 1], (False, True)),
    ],
)
def test_steps_that_rise_evenly_and_times_that_lie_close_are_left_out(
    steps: list[int], times: list[int], left_out: tuple[bool, bool]
) -> None:
    held = stored(row([(step, time, 1.0) for step, time in zip(steps, times, strict=True)]))

    assert (held["steps"] is None, held["times"] is None) == left_out


def test_the_other_columns_follow_the_table() -> None:
    found = list(fields(encode_row(row([(-1, 3, 1.0), (2, 4, 1.0)]))))

    assert found[0] == SERIES.bytes
    assert found[1:8] == [struct.pack(form, value) for form, value in zip(
        (">q", ">i", ">i", ">q", ">q", ">q", ">q"), (7, 202311, 2, -1, 2, 3, 4), strict=True
    )]  # fmt: skip
    assert found[8:13] == [struct.pack(form, value) for form, value in zip(
        (">d", ">d", ">d", ">d", ">i"), (math.nan, -0.0, 1.0, 2.0, 5), strict=True
    )]  # fmt: skip


def test_numbers_of_corners_are_short() -> None:
    of = row([(at, at, 1.0) for at in range(3)])
    of.pieces = array("h", [1, -(2**15), 2**15 - 1] * 40)

    assert values(packed(of)["pieces"], 21, "h") == list(of.pieces)
    assert packed(row([(1, 1, 1.0)]))["pieces"] is None


def test_bounds_of_nothing_finite_are_null() -> None:
    found = list(fields(encode_row(row([(1, 1, math.inf)], low=None, high=None))))

    assert found[10:12] == [None, None]


def test_pieces_are_one_stream_with_a_head_and_an_end() -> None:
    rows = [row([(at, at, 1.0) for at in range(1_000)])] * 40

    pieces = list(copy_stream(rows))

    assert b"".join(pieces) == HEAD + b"".join(map(encode_row, rows)) + END
    assert max(map(len, pieces)) < PIECE_BYTES + len(encode_row(rows[0]))
    assert len(pieces) > 1
