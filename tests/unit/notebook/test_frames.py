"""Frames hold columns as they are, and the page reads the same bytes (dashboard/src/widget/widget.test.ts)."""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.notebook.frames import decode, encode

GOLDEN = Path(__file__).parents[3] / "dashboard" / "src" / "widget" / "frame.golden.json"
STEP = st.integers(-(2**53), 2**53)
POINT = st.tuples(STEP, STEP, st.floats(width=64))


def test_a_frame_has_the_bytes_that_the_page_reads() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    facts = [{name: value for name, value in one.items() if name != "rows"} for one in golden["series"]]
    columns = [([1, 2], [10, 20], [0.5, math.nan]), ([3], [4], [5.0])]

    assert encode(golden["head"], list(zip(facts, columns, strict=True))).hex() == golden["hex"]


@given(names=st.lists(st.text(max_size=5), max_size=4), points=st.lists(POINT, max_size=6), text=st.text(max_size=9))
def test_what_is_written_is_read(names: list[str], points: list[tuple[int, int, float]], text: str) -> None:
    columns = (
        array("q", [point[0] for point in points]),
        array("q", [point[1] for point in points]),
        array("d", [point[2] for point in points]),
    )
    frame = encode({"kind": "all", "cut": text}, [({"series": name}, columns) for name in names])
    head, read = decode(frame)

    assert (head["cut"], [one["series"] for one in head["series"]]) == (text, names)
    assert (len(frame) - 24 * len(names) * len(points)) % 8 == 0
    for found in read:
        assert [repr(list(one)) for one in found] == [repr([float(cell) for cell in column]) for column in columns]
