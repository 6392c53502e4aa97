"""Columns are restored from PostgreSQL's binary arrays, bit for bit."""

from __future__ import annotations

import struct
from array import array

from hypothesis import given
from hypothesis import strategies as st

from consumers.store.codec.array_format import floats_of, ints_of, shorts_of

INT2, INT8, FLOAT8 = 21, 20, 701  # oids of pg_type


def sent(kind: str, oid: int, values: list[int] | list[float]) -> bytes:
    """Return the bytes that array_send() writes: an empty array has no dimension."""
    if not values:
        return struct.pack(">iii", 0, 0, oid)
    header = struct.pack(">iiiii", 1, 0, oid, len(values), 1)
    return header + b"".join(struct.pack(f">i{kind}", struct.calcsize(kind), value) for value in values)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1))))
def test_integers_come_back_one_array_behind_the_other(arrays: list[list[int]]) -> None:
    found = ints_of(sent("q", INT8, values) for values in arrays)

    assert found == array("q", [value for values in arrays for value in values])


@given(st.lists(st.lists(st.floats())))
def test_floats_come_back_with_every_bit(arrays: list[list[float]]) -> None:
    found = floats_of(sent("d", FLOAT8, values) for values in arrays)

    assert found.tobytes() == array("d", [value for values in arrays for value in values]).tobytes()


@given(st.lists(st.integers(-(2**15), 2**15 - 1)))
def test_short_integers_come_back(values: list[int]) -> None:
    assert shorts_of(sent("h", INT2, values)) == array("h", values)
