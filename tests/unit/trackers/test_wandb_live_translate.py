from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.trackers.testing.runs import RunAuthor, edge_case_run
from consumers.trackers.wandb.live.tracker import is_deleted_id
from consumers.trackers.wandb.live.translate import sdk_row, translate
from consumers.trackers.wandb.translate import HistoryRow, from_instant, to_instant
from schemas.wire import Envelope

Fields = dict[str, object]


def translated(envelopes: list[Envelope], cuts: list[int]) -> tuple[dict[int, HistoryRow], Fields, Fields]:
    """Return the rows, config and state of a run that is cut into calls at these positions."""
    rows: dict[int, HistoryRow] = {}
    config: Fields = {}
    state: Fields = {}
    ends = sorted({0, len(envelopes), *(cut % len(envelopes) for cut in cuts)})
    for first, last in pairwise(ends):
        upload = translate("r", envelopes[first:last], state, "project")
        rows |= dict(enumerate(upload.rows, upload.first_row))
        config |= upload.config
        state = json.loads(json.dumps(upload.state))
    return rows, config, state


@given(st.lists(st.integers(0, 1_000), max_size=8))
def test_rows_have_the_same_numbers_however_events_are_cut_into_calls(cuts: list[int]) -> None:
    envelopes = edge_case_run("r")

    assert translated(envelopes, cuts) == translated(envelopes, [])


@given(st.integers(0, 1_000))
def test_a_late_start_gives_the_same_project_and_start_however_it_is_cut(cut: int) -> None:
    author = RunAuthor("r")
    envelopes = [author.metrics("loss", [1.0]), author.start(tag="late"), author.metrics("loss", [2.0])]

    _, config, state = translated(envelopes, [cut])

    assert (state["project"], config["gw.started_at"]) == ("project", to_instant(envelopes[1].event.time))


def test_text_that_reads_like_a_number_stays_text() -> None:
    cells = {"a": '"NaN"', "b": "NaN", "c": '"Infinity"', "d": '"nan"'}

    row = sdk_row(HistoryRow(3, 1_500_000_000_000_123, cells))

    assert (row["a"], row["c"], row["d"]) == ("'NaN'", "'Infinity'", "nan")
    assert math.isnan(row["b"])
    assert (row["gw/step"], round(row["_timestamp"] * 1e6)) == (3, 1_500_000_000_000_123)


@pytest.mark.parametrize("time", [0, 1_500_000_000_000_123, 253_402_300_799_999_999, 2**60])
def test_an_instant_is_read_back(time: int) -> None:
    assert from_instant(to_instant(time)) == time


def test_a_project_has_no_characters_that_wandb_refuses() -> None:
    upload = translate("r", [RunAuthor("r").start(tag="a/b#c%d" + "x" * 200)], {}, "project")

    assert upload.state["project"] == "a-b-c-d" + "x" * 121


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("POST http://127.0.0.1:40963/graphql giving up after 2 attempt(s): HTTP 503", False),
        ("POST http://127.0.0.1:409/graphql giving up: HTTP 503", False),
        ("POST http://127.0.0.1:8080/graphql: HTTP 409 Conflict", True),
        ("returned error 409: {}", True),
        ("run r was previously created and deleted; try a new run name", True),
    ],
)
def test_a_number_in_an_address_does_not_mean_a_deleted_id(text: str, expected: bool) -> None:
    assert is_deleted_id(text) is expected
