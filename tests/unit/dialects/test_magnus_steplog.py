"""What a step log of Magnus becomes, without its secrets."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.dialects.magnus.steplog import (
    artifact_event,
    attempt_events,
    failure_of,
    micros,
    start_event,
    time_span,
)

CODE = {
    "code_identifier": "0b62e4c6", "code_identifier_type": "git", "code_identifier_dependable": None,
    "code_identifier_url": "https://user:pass@example.org/a.git", "code_identifier_message": None,
}  # fmt: skip


def step(**fields: Any) -> dict[str, Any]:
    return {
        "name": "one", "internal_name": "mapper.1.one", "status": "FAIL", "step_type": "task", "message": "",
        "mock": False, "code_identities": [CODE], "attempts": [attempt()], "user_defined_metrics": {}, "branches": {},
        "data_catalog": [], **fields,
    }  # fmt: skip


def attempt(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "attempt_number": number, "start_time": "2024-01-10 10:48:10.089266", "end_time": "2024-01-10 10:48:11",
        "duration": "0:00:00.910734", "status": "FAIL", "message": "no such file", "parameters": {"rate": 0.5},
        **fields,
    }  # fmt: skip


START = round(datetime(2024, 1, 10, 10, 48, 10, 89_266).timestamp() * 1_000_000)


def test_an_attempt_is_its_code_its_parameters_and_its_end() -> None:
    scope = {"step_name": "mapper.1.one", "attempt": 3}
    found = list(attempt_events(step(), base=2, now=1))

    assert start_event(step(), 3) == {
        "kind": "step_started", **scope, "name": "one", "step_type": "task", "mock": False
    }  # fmt: skip
    assert [time - START for time, _ in found] == [0, 0, 910_734]
    assert [body for _, body in found] == [
        {"kind": "code", **scope, "code_identifier": "0b62e4c6", "code_identifier_type": "git",
         "code_identifier_url": "https://***@example.org/a.git", "code_identifier_message": "",
         "code_identifier_dependable": False},
        {"kind": "params", **scope, "params": {"rate": {"type": "float", "value": 0.5}}},
        {"kind": "step_finished", **scope, "status": "fail", "message": "no such file"},
    ]  # fmt: skip


def test_an_attempt_without_times_is_now() -> None:
    (_, (time, _)) = attempt_events(step(attempts=[attempt(start_time="", end_time="", parameters={})]), base=0, now=7)

    assert (time, micros("tomorrow")) == (7, None)


def test_a_step_with_branches_takes_the_time_of_the_steps_in_it() -> None:
    branches = {"b": {"internal_name": "b", "status": "FAIL", "steps": {"one": step()}}}

    assert time_span(step(branches=branches, attempts=[]), 7) == (START, START + 910_734)
    assert time_span(step(attempts=[]), 7) == (7, 7)


def test_a_run_fails_because_of_its_first_attempt_that_failed() -> None:
    steps = [step(attempts=[attempt(status="SUCCESS")]), step(), step(attempts=[attempt(message="later")])]

    assert failure_of(steps) == "step mapper.1.one failed: no such file"
    assert failure_of([]) == "the pipeline took its failure path"


@pytest.mark.parametrize(("digest", "kept"), [("ab" * 32, "ab" * 32), ("ab" * 20, "")])
def test_a_file_of_the_catalog_is_named_by_a_uri(digest: str, kept: str) -> None:
    entry = {
        "name": "out.txt", "data_hash": digest, "catalog_relative_path": "r1/out.txt",
        "catalog_handler_location": ".catalog", "stage": "",
    }  # fmt: skip
    found = artifact_event(step(), entry, 1)

    assert (found["name"], found["sha256"], found["stage"]) == ("out.txt", kept, "put")
    assert found["uri"] == f"file://{Path.cwd()}/.catalog/r1/out.txt"
    assert "hunter2" not in artifact_event(step(), entry | {"catalog_handler_location": "s3://a:hunter2@b"}, 1)["uri"]
