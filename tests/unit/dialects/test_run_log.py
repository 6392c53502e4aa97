"""A run log of Magnus becomes the same records whenever and wherever it is imported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.dialects.magnus.run_log import PRODUCER, import_run_log
from gateway.dialects.magnus.run_log_check import RunLogError, check_run_log
from gateway.dialects.magnus.run_log_import import replaces_earlier
from schemas import events as ev
from schemas.runlog import time_text
from schemas.values import to_plain
from schemas.wire import Envelope, decode_run
from tests.support.run_logs import END, EXAMPLES, START, example, run_log, step


def envelopes(document: dict[str, Any], zone: Any = UTC, **how: bool) -> list[Envelope]:
    check_run_log(document)
    return [decode_run(one.key, one.value, one.headers) for one in import_run_log(document, zone, **how).records]


def events(document: dict[str, Any], kind: str, zone: Any = UTC) -> Sequence[Any]:
    return [one.event for one in envelopes(document, zone) if one.event.kind == kind]


def metrics(value: Any) -> tuple[dict[int, float], dict[int, Any]]:
    """Return the points and the observations that a value of `user_defined_metrics` becomes, by step."""
    document = run_log(step("train", user_defined_metrics={"m": value}))
    points = {
        at: number
        for event in events(document, "metrics")
        for one in event.series
        for at, number in zip(one.steps, one.values, strict=True)
    }
    return points, {one.step: to_plain(one.value) for event in events(document, "values") for one in event.values}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_records_of_a_document_are_whole_numbered_from_0_and_always_the_same(name: str) -> None:
    document = example(name)
    once, again = envelopes(document), envelopes(json.loads(json.dumps(document, indent=7, sort_keys=True)))

    assert once[0].producer == again[0].producer
    assert once[0].producer.startswith(PRODUCER)
    assert [one.seq for one in once] == list(range(len(once)))
    assert once[0].event.kind == "run_started"
    assert once[-1].event.kind == "producer_closed"
    assert once[-1].event.batches == len(once)
    assert [one.event.kind for one in once].count("run_finished") == 1


def test_the_records_are_equal_byte_for_byte() -> None:
    first, second = (import_run_log(example("000"), UTC).records for _ in range(2))

    assert [(one.value, one.headers) for one in first] == [(one.value, one.headers) for one in second]


def test_another_content_is_another_producer() -> None:
    changed = run_log(step("a", message="x"))

    assert envelopes(run_log(step("a")))[0].producer != envelopes(changed)[0].producer


@pytest.mark.parametrize(
    ("value", "points", "observations"),
    [
        (42.0, {0: 42.0}, {}),
        (7, {0: 7.0}, {}),
        ("hello", {}, {0: "hello"}),
        (False, {}, {0: False}),
        (None, {}, {0: None}),
        ([1, None], {}, {0: [1, None]}),
        ({"ham": "world"}, {}, {0: {"ham": "world"}}),
        ({"loss": 0.5}, {}, {0: {"loss": 0.5}}),
        ({"0": 1.0, "1": 0.5}, {0: 1.0, 1: 0.5}, {}),
        ({"0": "hello", "1": "hey"}, {}, {0: "hello", 1: "hey"}),
        ({"0": 1.0, "1": "late", "-2": 3}, {0: 1.0, -2: 3.0}, {1: "late"}),
        ({"0": {"ham": "world"}, "1": {"ham": "universe"}}, {}, {0: {"ham": "world"}, 1: {"ham": "universe"}}),
        ({"0": 1.0, "x": 2.0}, {}, {0: {"0": 1.0, "x": 2.0}}),
        ({"2021": 5}, {}, {0: {"2021": 5}}),
        (2**53 + 1, {}, {0: 2**53 + 1}),
        (2**70, {}, {0: str(2**70)}),
        ([float("inf")], {}, {0: ["Infinity"]}),
    ],
)
def test_numbers_are_points_and_the_rest_observations(
    value: Any, points: dict[int, float], observations: dict[int, Any]
) -> None:
    assert metrics(value) == (points, observations)


def test_a_metric_that_is_nan_or_infinite_stays_it() -> None:
    points, _ = metrics({"0": float("nan"), "1": float("-inf"), "2": 0.5})

    assert str(points) == "{0: nan, 1: -inf, 2: 0.5}"


def test_ten_thousand_steps_are_in_events_that_fit() -> None:
    document = run_log(step("train", user_defined_metrics={"m": {str(at): at / 7 for at in range(10_000)}}))
    found = [len(one.steps) for event in events(document, "metrics") for one in event.series]

    assert found == [1_000] * 10


def test_times_are_those_of_the_document_in_its_zone() -> None:
    (started,) = events(run_log(step("a")), "run_started", ZoneInfo("Europe/Berlin"))
    (ended,) = events(run_log(step("a")), "run_finished", ZoneInfo("Europe/Berlin"))

    assert time_text(started.time) == START.replace("10 10:", "10 09:")
    assert time_text(ended.time) == END.replace("10 10:", "10 09:")


def test_secrets_in_the_configuration_are_masked() -> None:
    config = {"secrets_handler": {"token": "hunter2"}, "run": "x --password hunter2", "url": "https://me:hunter2@host/"}
    code = {"code_identifier_url": "https://me:hunter2@host/r.git"}
    kept = {"name": "out.txt", "catalog_handler_location": "s3://me:hunter2@bucket"}
    found = envelopes(run_log(step("a", code_identities=[code], data_catalog=[kept]), run_config=config))

    assert [one for one in found if "hunter2" in one.event.model_dump_json()] == []
    assert b"@host/" in import_run_log(run_log(step("a"), run_config=config), UTC).records[0].value


def test_the_end_of_a_run_is_that_of_magnus() -> None:
    kinds = {
        status: [one.event.kind for one in envelopes(run_log(step("a"), status=status))][-2:]
        for status in ("SUCCESS", "FAIL", "PROCESSING")
    }

    assert kinds == {
        "SUCCESS": ["run_finished", "producer_closed"],
        "FAIL": ["run_failed", "producer_closed"],
        "PROCESSING": ["step_finished", "producer_closed"],
    }


def test_steps_of_branches_come_after_the_step_that_holds_them_which_spans_them() -> None:
    inside = step("map.1.one", attempts=[{"start_time": START, "end_time": END, "status": "FAIL", "message": "no"}])
    inside["status"] = "FAIL"
    branch = {"internal_name": "map.1", "status": "FAIL", "steps": {"map.1.one": inside}}
    document = run_log(step("map", step_type="map", attempts=[], branches={"map.1": branch}, status="FAIL"))
    started, finished = events(document, "step_started"), events(document, "step_finished")

    assert [(one.step_name, one.name, one.step_type) for one in started] == [
        ("map", "map", "map"),
        ("map.1.one", "one", "task"),
    ]
    assert [(time_text(one.time), one.status, one.message) for one in finished] == [
        (END, "fail", ""),
        (END, "fail", "no"),
    ]


def test_a_step_without_times_is_placed_after_the_step_before_it() -> None:
    cached = step("b", mock=True, attempts=[])
    document = run_log(step("a"), cached)

    assert [(one.step_name, time_text(one.time), one.mock) for one in events(document, "step_started")] == [
        ("a", START, False),
        ("b", END, True),
    ]


def test_retries_are_attempts_and_metrics_belong_to_the_last() -> None:
    tries = [
        {"attempt_number": 1, "start_time": START, "end_time": START, "status": "FAIL", "message": "no"},
        {"attempt_number": 2, "start_time": END, "end_time": END, "status": "SUCCESS"},
    ]
    document = run_log(step("a", attempts=tries, user_defined_metrics={"m": 1}))

    assert [(one.attempt, one.status, one.message) for one in events(document, "attempt_finished")] == [
        (1, "fail", "no"),
        (2, "success", ""),
    ]
    assert [one.attempt for one in events(document, "metrics")] == [2]


def test_parameters_that_no_attempt_has_had_are_of_the_run() -> None:
    own = {"epochs": 3, "out": 4, "flag": True}
    first = step("a")
    first["attempts"][0]["parameters"] = {"epochs": 3, "out": 3, "flag": 1}
    found = events(run_log(first, parameters=own), "params")

    assert [(one.step_name, {name: to_plain(value) for name, value in one.params.items()}) for one in found] == [
        ("a", {"epochs": 3, "out": 3, "flag": 1}),
        ("main", {"out": 4, "flag": True}),
    ]


def test_the_data_catalog_is_artifacts() -> None:
    entry = {"name": "out.txt", "data_hash": "ab" * 32, "catalog_handler_location": ".catalog"}
    catalog = [
        {**entry, "catalog_relative_path": "r1/out.txt", "stage": "put"},
        {**entry, "catalog_relative_path": "out.txt", "stage": "get", "data_hash": "no digest"},
    ]
    found = events(run_log(step("a", data_catalog=catalog)), "artifact")

    assert [(one.name, one.uri, one.sha256, one.stage) for one in found] == [
        ("out.txt", ".catalog/r1/out.txt", "ab" * 32, "put"),
        ("out.txt", ".catalog/out.txt", "", "get"),
    ]


def test_a_later_state_of_a_run_log_deletes_its_metrics_first() -> None:
    document = run_log(step("a", user_defined_metrics={"loss": 1.0, "spam": "x"}))
    found = [one.event for one in envelopes(document, replaces=True)]

    assert [(one.what, one.name) for one in found if isinstance(one, ev.Deleted)] == [
        ("series", "loss"),
        ("series", "spam"),
    ]
    assert [one.kind for one in found].index("deleted") == 1


def test_what_is_in_the_log_decides_what_an_import_does() -> None:
    before, after = run_log(step("a"), status="PROCESSING"), run_log(step("a"), step("b"))
    first = envelopes(before)[0].producer
    later = envelopes(after, replaces=True)[0].producer

    assert replaces_earlier(before, {}) is False
    assert replaces_earlier(before, {first: False, "person": True}) is False
    assert replaces_earlier(after, {first: True}) is True
    assert replaces_earlier(after, {first: True, later: False}) is True
    assert replaces_earlier(before, {first: True, later: True}) is False
    with pytest.raises(RunLogError, match="written while it ran: compare with `gateway runs show r1`"):
        replaces_earlier(before, {"0190-training": True})


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (run_log(), "no step has a start or an end: the run has not begun"),
        (run_log(step("a", attempts=[])), "no step has a start or an end"),
        (run_log(step("a", attempts=[{"start_time": "noon", "status": "FAIL"}])), "'noon' is no time: Magnus writes"),
        (run_log(step("a", attempts=[{"start_time": "1969-01-01", "status": "FAIL"}])), "is before 1970"),
        (run_log(step("a"), run_config={"x": "y " * 500_000}), "run_config takes 1,000,"),
        (run_log(step("a", user_defined_metrics={"x": "y" * 1_000_000})), "user_defined_metrics of step 'a' takes"),
    ],
)
def test_what_no_event_could_hold_is_refused(document: dict[str, Any], why: str) -> None:
    check_run_log(document)

    with pytest.raises(RunLogError, match=why):
        import_run_log(document, UTC)
