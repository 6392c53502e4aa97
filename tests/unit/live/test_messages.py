"""Records of the log as messages of the event stream."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumers.live.stream.messages import MAX_WRITE_BYTES, Detail, Message, frame, frames, mark
from schemas import events as ev
from schemas.values import FloatValue
from tests.support.log_author import START, Author


def message(event: ev.AnyEvent, *, run_id: str = "a/b") -> Message:
    return Message(Author(run_id).envelope(event), partition=3, offset=41, size=100)


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


def test_values_that_json_cannot_represent_are_strings() -> None:
    (series,) = read(metrics(math.nan, math.inf, -math.inf))["series"]

    assert [value for _, _, value in series["points"]] == ["NaN", "Infinity", "-Infinity"]


def test_the_brief_form_keeps_the_last_point_and_the_count() -> None:
    (series,) = read(metrics(3.0, 2.0, 1.0), "last")["series"]

    assert (series["count"], series["points"]) == (3, [[2, START + 2, 1.0]])


def test_the_brief_form_leaves_out_what_a_list_does_not_show() -> None:
    params = ev.Params(time=START, params={"lr": FloatValue(value=0.1)})

    assert "params" in read(params)
    assert "params" not in read(params, "last")


def test_a_field_of_an_event_never_hides_its_position() -> None:
    found = read(ev.Note(time=START, text="x\ny"))

    assert (found["kind"], found["text"], found["offset"]) == ("note", "x\ny", 41)


def test_a_frame_is_one_line_of_data_whatever_the_event_holds() -> None:
    text = message(ev.Note(time=START, text="a\r\nb\n\ndata: c"), run_id="x\n\nid: 9").text("all")

    assert frame(text, "3:42").splitlines() == [b"id: 3:42", b"data: " + text, b""]


def test_a_mark_moves_the_position_and_shows_nothing() -> None:
    assert mark("3:42", retry_ms=5) == b"retry: 5\nid: 3:42\n\n"


def heartbeats(partition: int, offsets: range) -> list[Message]:
    author = Author("run")
    return [Message(author.envelope(ev.Heartbeat(time=1)), partition, offset, 10) for offset in offsets]


def offsets_in(chunks: list[bytes]) -> list[int]:
    lines = b"".join(chunks).splitlines()
    return [json.loads(line.removeprefix(b"data: "))["offset"] for line in lines if line.startswith(b"data: ")]


@given(position=st.integers(0, 12))
def test_messages_below_the_position_are_not_sent_again(position: int) -> None:
    positions = {0: position, 3: 7}

    chunks = frames(heartbeats(0, range(4, 9)), positions, "all")

    assert offsets_in(chunks) == [offset for offset in range(4, 9) if offset >= position]
    assert positions == {0: max(position, 9), 3: 7}


def test_each_frame_has_the_position_after_it_in_every_partition() -> None:
    chunks = frames([*heartbeats(0, range(2)), *heartbeats(3, range(1))], {0: 0, 3: 0}, "all")

    ids = [line for line in b"".join(chunks).splitlines() if line.startswith(b"id: ")]
    assert ids == [b"id: 0:1,3:0", b"id: 0:2,3:0", b"id: 0:2,3:1"]


def test_many_messages_are_written_in_pieces() -> None:
    chunks = frames(heartbeats(0, range(5_000)), {0: 0}, "all")

    assert len(chunks) > 1
    assert max(map(len, chunks)) < MAX_WRITE_BYTES + 1_000
