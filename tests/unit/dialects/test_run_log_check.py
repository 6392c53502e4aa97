"""A document is a whole run log of Magnus, or one error says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dialects.magnus.run_log_check import RunLogError, check_run_log
from tests.support.run_logs import EXAMPLES, example, run_log, step


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documents_of_the_seeds_are_run_logs(name: str) -> None:
    check_run_log(example(name))


def test_null_is_allowed_where_magnus_writes_it() -> None:
    nulls = {"code_identifier": None, "code_identifier_type": "git", "code_identifier_url": None}

    check_run_log(run_log(step("a", code_identities=[nulls]), tag=None, dag_hash=None, original_run_id=None))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "this is no run log: name a file that Magnus' run-log store wrote"),
        ({"run_id": "r1"}, "this is no run log"),
        ({"run_id": "r1", "steps": {}, "job": None}, "a run log of runnable, not of Magnus"),
        (run_log(step("a"), run_id=7), "run_id is a number, not text"),
        (run_log(step("a"), run_id=""), "run_id has 0 characters: an id has 1 to 256"),
        (run_log(step("a"), run_id="r" * 257), "run_id has 257 characters"),
        (run_log(step("a"), status="DONE"), "status is 'DONE': a status of Magnus is one of CREATED"),
        (run_log(step("a"), steps=[]), "steps is a list, not an object"),
        (run_log(step("a"), extra=1), "unknown field extra: leave such fields out with --ignore-unknown"),
        (run_log(step("a", colour=1)), r"unknown field steps\.a\.colour"),
        (run_log(step("a", attempts=[{"start_time": ""}])), r"steps\.a\.attempts\[0\]\.status is missing"),
        (run_log(step("a", attempts=[{"status": "FAIL", "attempt_number": 0}])), "attempts are counted from 1"),
        (run_log(step("a", attempts=[{"status": "FAIL"}] * 2)), "two have the same attempt_number"),
        (run_log(step("a", mock="no")), r"steps\.a\.mock is text, not true or false"),
        (run_log(step("a", data_catalog=[{"name": ""}])), "a name has 1 to 1,024 bytes, not 0"),
        (run_log(step("a", data_catalog=[{"name": "x", "stage": "push"}])), "a stage is put or get"),
        (run_log(step("a", user_defined_metrics={"": 1})), "a name has 1 to 1,024 bytes, not 0"),
        (run_log(step("a", user_defined_metrics={"é" * 513: 1})), "a name has 1 to 1,024 bytes, not 1,026"),
        (run_log(step("a", code_identities=[{"code_identifier": "é" * 513}])), "has 1,026 bytes, at most 1,024"),
        (run_log(step("a", branches={"b": {"internal_name": "b"}})), r"steps\.a\.branches\.b\.status is missing"),
        (run_log(step("a"), steps={"x": step("a"), "y": step("a")}), "there is another step 'a'"),
        (run_log(step("a", message="x\x00")), r"steps\.a\.message contains the character U\+0000"),
        (run_log(step("a"), run_config={"k": ["\ud800"]}), r"run_config\.k\[0\] contains half of a surrogate pair"),
        (run_log(step("a"), parameters={"a\x00b": 1}), r"a name in parameters contains the character U\+0000"),
        (run_log(step("a", user_defined_metrics={"m": deep(101)})), "more than 100 values are nested in each other"),
    ],
)
def test_each_fault_is_one_error_that_names_its_place(document: Any, why: str) -> None:
    with pytest.raises(RunLogError, match=why) as caught:
        check_run_log(document)
    assert "\n" not in str(caught.value)


def test_unknown_fields_can_be_left_out() -> None:
    check_run_log(run_log(step("a", colour=1), extra=1), ignore_unknown=True)
