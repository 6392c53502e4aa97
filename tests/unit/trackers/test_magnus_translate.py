"""Events as calls of a tracker that was written for Magnus."""

from __future__ import annotations

import math
from array import array

from consumers.trackers.magnus.translate import Call, calls, fold_tag, parameters_left
from schemas import events as ev
from schemas.values import FloatValue, JsonValue, StringValue
from tests.support.log_author import Author


def test_numbers_values_and_parameters_are_calls_in_the_order_of_the_log() -> None:
    author = Author("r1")
    series = ev.Series(
        name="rows", labels={"rank": "1"}, integer=True, steps=array("q", [0, 2]), times=array("q", [1, 1]),
        values=array("d", [3, 2**53]),
    )  # fmt: skip
    seen = [
        ev.Observation(name="spam", time=1, value=StringValue(value="hey")),
        ev.Observation(name="best", step=7, time=1, value=FloatValue(value=math.inf)),
        ev.Observation(name="eggs", time=1, value=JsonValue(value={"ham": 1})),
    ]
    envelopes = [
        author.metrics("loss", [1.0, math.nan], first_step=4),
        author.envelope(ev.Metrics(time=1, step_name="mapper.1.one", series=[series])),
        author.envelope(ev.Values(time=1, step_name="first", values=seen)),
        author.envelope(ev.Params(time=1, step_name="first", params={"lr": FloatValue(value=0.5)})),
        author.finish(),
    ]
    found = [call for envelope in envelopes for call in calls(envelope)]

    assert repr(found) == repr([
        Call("main", "loss", 1.0, 4),
        Call("main", "loss", math.nan, 5),
        Call("mapper.1.one", "mapper.1.one/rows{rank=1}", 3, 0),
        Call("mapper.1.one", "mapper.1.one/rows{rank=1}", 2**53, 2),
        Call("first", "first/spam", "hey", 0),
        Call("first", "first/best", math.inf, 7),
        Call("first", "first/eggs", {"ham": 1}, 0),
        Call("first", "lr", "0.5", None),
    ])  # fmt: skip
    assert [call.is_number for call in found] == [True, True, True, True, False, True, False, False]
    assert not Call("main", "yes", True, 0).is_number


def test_the_first_value_of_a_parameter_counts() -> None:
    given = [Call("a", "lr", "1", None), Call("a", "lr", "2", 0), Call("b", "lr", "3", None), Call("b", "n", "4", None)]

    assert list(parameters_left(given, {"n": 1})) == given[:2]


def test_the_last_tag_of_a_run_is_its_experiment() -> None:
    author = Author("r1")
    start, more = author.start(tag="exp-a").event, author.envelope(ev.RunCreated(time=1)).event

    assert fold_tag("", [start, more]) == "exp-a"
    assert fold_tag("exp-a", [ev.Moved(time=1, tag="exp-b")]) == "exp-b"
