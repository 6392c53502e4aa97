"""Records of the log as messages of the event stream."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

from consumers.live.messages import Detail, Message, frame, mark
from schemas import events as ev
from schemas.values import FloatValue
from tests.log_writing import START, Author


def message(event: ev.AnyEvent, *, run_id: str = "a/b") -> Message:
    return Message(Author(run_id).batch(event), partition=3, offset=41, size=100)


def read(event: ev.AnyEvent, detail: Detail = "all") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message(event).text(detail))
    return found


def metrics(*values: float) -> ev.Metrics:
    count = len(values)
    series = ev.Series(
        name="loss",
        labels={"rank": "1"},
        steps=array("q", range(count)),
        times=array("q", [START + step for step in range(count)]),
        values=array("d", values),
    )
    return ev.Metrics(time=START, step_name="fit", series=[series])


def test_metrics_carry_written_name_and_points() -> None:
    found = read(metrics(0.5, 0.25))

    assert (found["run_id"], found["kind"], found["partition"], found["offset"]) == ("a/b", "metrics", 3, 41)
    assert found["series"] == [
        {
            "series": "fit/loss{rank=1}",
            "name": "loss",
            "labels": {"rank": "1"},
            "count": 2,
            "points": [[0, START, 0.5], [1, START + 1, 0.25]],
        }
    ]


def test_values_that_json_cannot_hold_are_words() -> None:
    (series,) = read(metrics(math.nan, math.inf, -math.inf))["series"]

    assert [value for _, _, value in series["points"]] == ["NaN", "Infinity", "-Infinity"]


def test_the_brief_form_keeps_the_last_point_and_the_count() -> None:
    (series,) = read(metrics(3.0, 2.0, 1.0), "last")["series"]

    assert (series["count"], series["points"]) == (3, [[2, START + 2, 1.0]])


def test_the_brief_form_leaves_out_what_a_list_does_not_show() -> None:
    params = ev.Params(time=START, params={"lr": FloatValue(value=0.1)})

    assert "params" in read(params)
    assert "params" not in read(params, "last")


def test_a_field_of_an_event_never_hides_where_the_event_is() -> None:
    found = read(ev.Note(time=START, text="x\ny"))

    assert (found["kind"], found["text"], found["offset"]) == ("note", "x\ny", 41)


def test_a_frame_is_one_line_of_data_whatever_the_event_holds() -> None:
    text = message(ev.Note(time=START, text="a\r\nb\n\ndata: c"), run_id="x\n\nid: 9").text("all")

    assert frame(text, "3:42").splitlines() == [b"id: 3:42", b"data: " + text, b""]


def test_a_mark_moves_the_position_and_shows_nothing() -> None:
    assert mark("3:42", retry_ms=5) == b"retry: 5\nid: 3:42\n\n"
