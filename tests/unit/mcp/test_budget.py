"""Answers that fit a number of tokens: cut at whole rows, all rows by the cursor, nothing left out in silence."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.errors import ClientError
from gateway.mcp.budget import CHARACTERS_PER_TOKEN, Cursor, Found, answer

CELLS = st.lists(st.one_of(st.text(max_size=60), st.integers(), st.floats(), st.none()), min_size=3, max_size=3)
LINK = "http://127.0.0.1:8700/"


def found(rows: list[list[object]], first: int = 0) -> Found:
    return Found(["a", "b", "c"], rows[first:], True, "0:7", LINK, len(rows), first=first)


@given(st.lists(CELLS, max_size=60), st.integers(200, 900))
def test_the_cursor_gives_every_row_once_and_every_answer_fits(rows: list[list[object]], tokens: int) -> None:
    seen: list[list[object]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = answer(found(rows), Cursor.read(cursor), tokens)
        assert (page["count"], page["from_row"], page["exact"], page["cut"]) == (len(rows), len(seen), True, "")
        assert len(json.dumps(page, allow_nan=False)) <= tokens * CHARACTERS_PER_TOKEN or page["shown"] == 1
        seen += page["rows"]
        cursor = page["cursor"]

    assert json.dumps(seen) == json.dumps(answer(found(rows), Cursor(), 100_000)["rows"])
    assert len(seen) == len(rows)


def test_rows_may_begin_where_the_cursor_does() -> None:
    rows: list[list[object]] = [[number, "", ""] for number in range(50)]
    page = answer(found(rows, first=20), Cursor(20, "0:7"), 4_000)

    assert ([row[0] for row in page["rows"]], page["from_row"], page["cursor"]) == (list(range(20, 50)), 20, None)


def test_a_text_that_is_too_long_is_cut_and_the_answer_says_so() -> None:
    page = answer(found([["x" * 10_000, 1, math.nan]]), Cursor(), 300)

    assert page["rows"][0][0].endswith(f"(+{10_000 - 250:,} characters)")
    assert page["rows"][0][2] == "NaN"
    assert page["cut"] == "long texts are cut where … stands: raise max_tokens"


def test_an_answer_says_that_the_store_has_changed_since_the_page_before() -> None:
    assert "has changed" in answer(found([[1, 2, 3]]), Cursor(0, "0:6"), 4_000)["cut"]


def test_what_must_be_known_of_rows_is_there_once_for_the_rows_that_are_shown() -> None:
    rows = [[name, number, ""] for name in "ab" for number in range(40)]
    page = answer(found(rows)._replace(about=lambda row: (str(row[0]), {"exact": False})), Cursor(), 250)

    assert (page["about"], page["shown"] < 40) == ({"a": {"exact": False}}, True)


@pytest.mark.parametrize("text", ["1", "x@0:1", "1@0:1;", "-1@", "1@a"])
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="is not one: pass that of an answer"):
        Cursor.read(text)
