"""A table is dicts, a data frame and an Arrow table with the same values, and says what it is."""

from __future__ import annotations

import math
from array import array

from gateway.read.table import Table

TABLE = Table(
    {"name": ["a", None], "n": array("q", [2**62, -1]), "x": array("d", [0.1, math.nan]), "any": [1, "one"]},
    exact=False, count=9, as_of="0:3", cut="more follow",
)  # fmt: skip


def test_rows_are_dicts() -> None:
    assert repr(TABLE.to_dicts()) == repr(list(TABLE))
    assert len(TABLE) == 2
    assert TABLE[0] == {"name": "a", "n": 2**62, "x": 0.1, "any": 1}
    assert [row["any"] for row in TABLE[0:2]] == [1, "one"]
    assert "2 of 9 rows, not exact" in repr(TABLE)
    assert "cut: more follow" in repr(TABLE)


def test_a_data_frame_has_the_same_values_and_facts() -> None:
    frame = TABLE.to_pandas()

    assert [str(kind) for kind in frame.dtypes[["n", "x"]]] == ["int64", "float64"]
    assert frame["n"].tolist() == [2**62, -1]
    assert frame["x"].tolist()[0] == 0.1
    assert frame.attrs == {"exact": False, "count": 9, "as_of": "0:3", "cut": "more follow"}


def test_an_arrow_table_has_the_same_values_and_facts() -> None:
    table = TABLE.to_arrow()

    assert table["n"].to_pylist() == [2**62, -1]
    assert math.isnan(table["x"].to_pylist()[1])
    assert table["any"].to_pylist() == ["1", "one"]
    assert table.schema.metadata[b"count"] == b"9"


def test_an_empty_table_is_one() -> None:
    empty = Table({"step": array("q"), "value": array("d")})

    assert (len(empty), empty.to_dicts(), empty.to_pandas().empty, empty.to_arrow().num_rows) == (0, [], True, 0)
