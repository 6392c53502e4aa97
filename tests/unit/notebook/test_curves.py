"""What a chart holds equals what was recorded, however points come: in the answer, by the stream, or in both."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.notebook.curves import MOST_POINTS, MOST_SENT, MOST_SERIES, Curves
from gateway.notebook.frames import decode


def answered(points: list[float], as_of: int, series: str = "loss") -> dict[str, Any]:
    """Return a series as the API answers it: points at steps 0, 1, ..., folded below offset `as_of`."""
    steps = list(range(len(points)))
    columns = {"steps": steps, "times": steps, "values": points}
    facts = {"count": len(points), "exact": True, "marks": [], "unit": None}
    return {"run_id": "r", "series": series, "as_of": f"3:{as_of}", "columns": columns, **facts}


def row(first_step: int, values: list[Any], offset: int, series: str = "loss", **more: Any) -> dict[str, Any]:
    """Return a row of the stream."""
    steps = list(range(first_step, first_step + len(values)))
    columns = {"steps": steps, "times": steps, "values": values}
    return {"run_id": "r", "series": series, "partition": 3, "offset": offset, "columns": columns, **more}


def values(curves: Curves) -> list[list[float]]:
    """Return the values of each series of the whole state."""
    return [list(columns[2]) for columns in decode(curves.state())[1]]


@given(
    batches=st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=4), min_size=1, max_size=8),
    folded=st.integers(0, 8),
    since=st.integers(0, 8),
)
def test_each_point_is_held_once(batches: list[list[float]], folded: int, since: int) -> None:
    """The answer has the first `folded` batches; the stream begins at or before its end."""
    folded = min(folded, len(batches))
    since = min(since, folded)
    curves = Curves()
    curves.replace({"runs": []}, [answered([value for batch in batches[:folded] for value in batch], folded)])
    sent = [list(columns[2]) for columns in decode(curves.state())[1]]
    number = curves.number
    for offset in range(since, len(batches)):
        first = sum(map(len, batches[:offset]))
        message = curves.add([row(first, batches[offset], offset)])
        if message is not None:
            head, columns = decode(message)
            assert head["number"] == number + 1
            number = head["number"]
            sent[0].extend(columns[0][2])

    assert values(curves) == sent == [[value for batch in batches for value in batch]]
    assert not curves.is_stale


def test_a_new_series_begins_and_what_json_lacks_is_a_number() -> None:
    curves = Curves()
    curves.replace({"runs": []}, [])
    assert curves.add([row(0, [1.0, "NaN", "-Infinity"], 0, "new")])

    assert repr(values(curves)) == "[[1.0, nan, -inf]]"
    head, _ = decode(curves.state())
    assert [(one["series"], one["count"], one["exact"]) for one in head["series"]] == [("new", 3, True)]


def test_a_coalesced_row_that_was_partly_read_asks_for_a_new_reading() -> None:
    curves = Curves()
    curves.replace({"runs": []}, [answered([1.0], 10)])
    assert curves.add([row(0, [1.0, 2.0], 12, first_offset=9)]) is None
    assert curves.is_stale


def test_left_out_points_are_counted() -> None:
    curves = Curves()
    curves.replace({"runs": []}, [answered([1.0], 1)])
    assert curves.add([row(1, [2.0], 1, left_out=7)])
    (facts,) = decode(curves.state())[0]["series"]
    assert (facts["count"], facts["exact"]) == (9, False)


def test_it_stays_bounded() -> None:
    curves = Curves()
    curves.replace({"runs": []}, [])
    curves.add([row(0, [0.0], 0, f"s{number}") for number in range(MOST_SERIES + 10)])
    assert len(curves) == MOST_SERIES

    assert curves.add([row(0, [0.0] * (MOST_SENT + 1), 1, "s0")]) is None  # the page gets the whole state instead
    assert curves.is_stale  # and the API puts the series into buckets
    curves.add([row(0, [0.0] * MOST_SENT, 2, "s0")])
    assert max(map(len, values(curves))) <= MOST_POINTS + MOST_SENT + 1
