"""What a state of a run log of runnable means, and how it is taken apart and made again."""

from __future__ import annotations

import json
import math
import resource
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.client.errors import ClientError
from gateway.dialects.runnable.changes import Fact, find_facts, micros
from gateway.dialects.runnable.chunks import (
    LOST,
    PIECE,
    ROOT,
    Chunk,
    fail_unfinished,
    from_labels,
    join_run_log,
    parts_of,
    split_run_log,
    to_labels,
)
from gateway.dialects.runnable.local_copy import LocalCopy
from gateway.dialects.shapes import in_shape

NOW = 1_700_000_000_000_000
START, END = "2026-11-30 11:00:00.000001", "2026-11-30 11:00:01.500000"


def param(value: Any, kind: str = "json") -> dict[str, Any]:
    return {"kind": kind, "value": value, "description": f"about {value}" if kind == "object" else value}


def attempt(number: int = 1, status: str = "SUCCESS", **fields: Any) -> dict[str, Any]:
    return {
        "attempt_number": number, "start_time": START, "end_time": END, "status": status, "message": "",
        "input_parameters": {}, "output_parameters": {}, "user_defined_metrics": {}, "retry_indicator": "",
        "code_identities": [], **fields,
    }  # fmt: skip


def step(name: str, status: str = "SUCCESS", *attempts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "name": name.rpartition(".")[2], "internal_name": name, "status": status, "step_type": "task", "message": "",
        "mock": False, "attempts": list(attempts), "branches": {}, "data_catalog": [], **fields,
    }  # fmt: skip


def run_log(*steps: dict[str, Any], status: str = "PROCESSING", **fields: Any) -> Chunk:
    return {
        "run_id": "r",
        "dag_hash": "d",
        "tag": "t",
        "status": status,
        "steps": {one["internal_name"]: one for one in steps},
        "job": None,
        "parameters": {},
        "run_config": {},
        **fields,
    }


def kinds(facts: list[Fact]) -> list[tuple[str, str, int]]:
    return [(fact.kind, fact.step_name, fact.attempt) for fact in facts]


def changed(old: Chunk, new: Chunk) -> list[Fact]:
    return find_facts(ROOT, old, new, NOW)


def test_a_new_run_log_is_its_description_and_parameters() -> None:
    facts = find_facts(ROOT, None, run_log(parameters={"epochs": param(3), "it": param("it", "object")}), NOW)

    assert [(fact.kind, dict(fact.body)) for fact in facts] == [
        ("description", {"dag_hash": "d", "tag": "t", "run_config": {}}),
        ("params", {"epochs": 3, "it": "about it"}),
    ]


def test_an_equal_state_is_no_fact() -> None:
    state = run_log(step("a", "SUCCESS", attempt()), parameters={"x": param(math.nan)})

    assert changed(state, json.loads(json.dumps(state))) == []


def test_a_task_starts_returns_values_and_ends_at_the_times_of_its_attempt() -> None:
    running = run_log(step("a", "PROCESSING"))
    metrics = {"loss": param({"0": 1.0, "-2": 0.5}, "metric"), "words": param({"a": 1}, "metric")}
    done = attempt(
        input_parameters={"lr": param(0.1)},
        output_parameters={**metrics, "eggs": param({"1": 2})},
        user_defined_metrics=metrics,
        code_identities=[{"code_identifier": "abc", "code_identifier_type": "git"}, {"code_identifier": None}],
    )

    assert kinds(changed(run_log(), running)) == [("step_started", "a", 1)]
    facts = changed(running, run_log(step("a", "SUCCESS", done)))

    assert [fact.kind for fact in facts] == ["step_started", "params", "code", *["value"] * 4, "step_finished"]
    assert [(one.body["name"], one.body["step"], one.body["value"]) for one in facts if one.kind == "value"] == [
        ("loss", 0, 1.0), ("loss", -2, 0.5), ("words", 0, {"a": 1}), ("eggs", 0, {"1": 2}),
    ]  # fmt: skip
    assert facts[-1].time - facts[0].time == 1_499_999
    assert {fact.attempt for fact in facts} == {1}


def test_a_step_that_is_tried_again_is_its_next_attempt() -> None:
    failed = step("a", "FAIL", attempt(status="FAIL", message="no"))
    again = {**failed, "status": "PROCESSING"}
    done = step("a", "SUCCESS", *failed["attempts"], attempt(2))

    assert kinds(changed(run_log(failed), run_log(again))) == [("step_started", "a", 2)]
    facts = changed(run_log(again), run_log(done))

    assert kinds(facts) == [("step_started", "a", 2), ("step_finished", "a", 2)]


def test_a_step_with_branches_has_the_attempt_of_the_run() -> None:
    running, done = (run_log(step("a", status, step_type="map")) for status in ("PROCESSING", "SUCCESS"))

    assert kinds(changed(run_log(), running)) == [("step_started", "a", 0)]
    assert kinds(changed(running, done)) == [("step_finished", "a", 0)]


@pytest.mark.parametrize(
    ("old", "new", "ends"),
    [
        pytest.param(
            run_log(), run_log(status="FAIL"), {"status": "failed", "message": "the pipeline failed"}, id="alone"
        ),
        pytest.param(
            run_log(step("a", "PROCESSING")), run_log(step("a", "PROCESSING"), status="SUCCESS"), None, id="early"
        ),
        pytest.param(
            run_log(step("success", "PROCESSING", step_type="success"), status="SUCCESS"),
            run_log(step("success", "SUCCESS", attempt(), step_type="success"), status="SUCCESS"),
            {"status": "finished", "message": ""},
            id="last step",
        ),
        pytest.param(
            run_log(step("a", "FAIL", attempt(status="FAIL")), status="FAIL"),
            run_log(step("a", "SUCCESS", attempt(status="FAIL"), attempt(2)), status="FAIL"),
            None,
            id="a failed run is tried again",
        ),
        pytest.param(
            run_log(step("a", "FAIL", attempt(status="FAIL", message="why\n"))),
            run_log(
                step("a", "FAIL", attempt(status="FAIL", message="why\n")),
                step("fail", "SUCCESS", attempt(), step_type="fail"),
                status="FAIL",
            ),
            {"status": "failed", "message": "step a failed: why"},
            id="failed",
        ),
    ],
)
def test_a_run_ends_with_its_last_step(old: Chunk, new: Chunk, ends: dict[str, str] | None) -> None:
    found = [dict(fact.body) for fact in changed(old, new) if fact.kind == "end"]

    assert found == ([] if ends is None else [ends])


def test_a_job_is_a_step_that_ends_the_run() -> None:
    waiting = {
        "status": "CREATED",
        "message": "",
        "mock": False,
        "code_identities": [],
        "attempts": [],
        "data_catalog": [],
    }
    done = {**waiting, "status": "SUCCESS", "attempts": [attempt(user_defined_metrics={"n": param(7, "metric")})]}
    first, last = run_log(job=waiting, status="CREATED"), run_log(job=done, status="SUCCESS")
    put_again = run_log(job={**done, "data_catalog": [{"name": "f", "stage": "put"}]}, status="SUCCESS")

    assert kinds(changed(run_log(), first)) == [("step_started", "job", 1)]
    assert [fact.kind for fact in changed(first, last)] == ["step_started", "value", "step_finished", "end"]
    assert [fact.kind for fact in changed(last, put_again)] == ["artifact"]


def test_times_of_runnable_are_local() -> None:
    assert micros(START, 5) == int(datetime(2026, 11, 30, 11).astimezone().timestamp()) * 1_000_000 + 1
    assert micros("", 5) == 5


# Taken apart and together again.


def nested() -> Chunk:
    inner = {
        "internal_name": "m.x.n.y",
        "status": "SUCCESS",
        "steps": {"m.x.n.y.b": step("m.x.n.y.b")},
        "parameters": {},
    }
    middle = step("m.x.n", "SUCCESS", step_type="parallel", branches={"m.x.n.y": inner})
    branches = {
        name: {"internal_name": name, "status": "SUCCESS", "steps": steps, "parameters": {"p": param(1)}}
        for name, steps in (("m.x", {"m.x.n": middle}), ("m.b", {}), ("m.ü", {}), ("m.v1.0", {}))
    }
    return run_log(
        step("z"), step("m", step_type="map", branches=branches), step("a"), parameters={"n": param(math.nan)}
    )


def test_a_run_log_is_made_again_from_its_chunks_and_from_its_labels() -> None:
    chunks = split_run_log(nested())
    labels: dict[str, str] = {}
    for name, chunk in chunks.items():
        labels |= to_labels(parts_of(name, chunk), 1)

    assert list(chunks) == [ROOT, "m.x", "m.x.n.y", "m.b", "m.ü", "m.v1.0"]
    assert json.dumps(join_run_log(chunks)) == json.dumps(nested())
    assert json.dumps(join_run_log(from_labels(dict(sorted(labels.items()))))) == json.dumps(nested())
    assert from_labels({"other": 1}) == {}


def test_a_long_part_is_several_labels_and_a_shorter_one_later_replaces_it() -> None:
    long, short = (run_log(parameters={"x": param("y" * size)}) for size in (3 * PIECE, 3))
    labels = to_labels(parts_of(ROOT, long), 1)

    assert max(map(len, labels.values())) == PIECE
    assert join_run_log(from_labels(labels)) == long
    assert join_run_log(from_labels(labels | to_labels(parts_of(ROOT, short), 2))) == short


def test_a_local_copy_has_what_was_written_whatever_the_names_are(tmp_path: Path) -> None:
    copy = LocalCopy(str(tmp_path / "new" / "folder"), "../r/\0")
    names = ("m.../../x", "m." + "long" * 100, "m.a b")
    with copy.locked():
        for name in names:
            copy.write(name, {"internal_name": name, "steps": {}})

    assert copy.read(ROOT) is None
    assert sorted(copy.read_all()) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert copy.count_branches() == 3


def test_what_a_killed_process_wrote_and_arrives_last_replaces_nothing() -> None:
    long = "x" * (2 * PIECE)
    killed = to_labels(parts_of(ROOT, run_log(status="PROCESSING", tag=long)), 10)
    retried = to_labels(parts_of(ROOT, run_log(status="SUCCESS", tag=long[1:])), 11, "ab12")
    of_the_user = {"runnable/run": "mine", "runnable@zz/x": "1", "runnables": "2", "runnable/steps/x": "not ours"}

    for labels in ({**retried, **killed}, {**killed, **retried}, {**of_the_user, **killed, **retried}):
        found = from_labels(labels)[ROOT]
        assert (found["status"], found["tag"]) == ("SUCCESS", long[1:])
    assert from_labels(of_the_user) == {}


def test_attempts_that_a_kill_ended_are_counted_and_their_steps_failed() -> None:
    root = {**run_log(), "steps": {"a": {"status": "SUCCESS"}, "m": {"status": "PROCESSING"}}}
    branch = {"internal_name": "m.b", "steps": {"m.b.c": {"status": "CREATED"}}}
    chunks: dict[str, Chunk] = {ROOT: root, "m.b": branch, "m.d": {"internal_name": "m.d", "steps": {}}}

    failed = fail_unfinished(chunks)
    again = fail_unfinished({**failed, "m.b": branch})

    assert sorted(failed) == [ROOT, "m.b"]
    assert failed[ROOT]["steps"] == {"a": {"status": "SUCCESS"}, "m": {"status": "FAIL"}}
    assert failed["m.b"]["steps"] == {"m.b.c": {"status": "FAIL"}}
    assert (failed[ROOT][LOST], again[ROOT][LOST]) == ({"m": 1, "m.b.c": 1}, {"m": 1, "m.b.c": 2})
    assert root["steps"]["m"]["status"] == "PROCESSING"
    assert fail_unfinished({ROOT: {**root, "steps": {}}}) == {} == fail_unfinished({})


def test_a_damaged_file_is_one_error_that_says_what_to_do(tmp_path: Path) -> None:
    copy = LocalCopy(str(tmp_path), "r")
    copy.restore({ROOT: run_log(), "m.b": {"internal_name": "m.b"}})
    for path in tmp_path.rglob("*.json"):
        path.write_bytes(path.read_bytes()[:9])

    for read in (lambda: copy.read(ROOT), lambda: copy.read("m.b"), copy.read_all):
        with pytest.raises(ClientError, match=r"\.json is damaged .*: move its folder away"):
            read()


def test_a_file_that_cannot_be_written_leaves_the_old_state_and_no_other_file(tmp_path: Path) -> None:
    copy = LocalCopy(str(tmp_path), "r")
    copy.restore({ROOT: run_log(status="FAIL")})
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as a full disk: a part is written
        with pytest.raises(OSError, match="large"):
            copy.write(ROOT, run_log(status="SUCCESS"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert [path.name for path in tmp_path.glob("r/*")] == ["run.json"]
    assert copy.read_all()[ROOT]["status"] == "FAIL"


def test_what_is_restored_does_not_replace_what_is_there(tmp_path: Path) -> None:
    copy = LocalCopy(str(tmp_path), "r")
    copy.restore({ROOT: run_log(status="FAIL"), "m.b": {"internal_name": "m.b"}})
    copy.restore({ROOT: run_log(status="SUCCESS")})

    assert copy.read_all()[ROOT]["status"] == "FAIL"


# Printed.


def document(**fields: Any) -> dict[str, Any]:
    magnus_step = {
        "name": "a",
        "internal_name": "a",
        "status": "SUCCESS",
        "step_type": "task",
        "message": "",
        "mock": False,
        "code_identities": [],
        "branches": {},
        "data_catalog": [],
        "user_defined_metrics": {"loss": {"0": 1.0, "1": "NaN"}},
        "attempts": [
            {
                "attempt_number": 1,
                "start_time": START,
                "end_time": None,
                "status": "FAIL",
                "message": "",
                "parameters": {},
            },
            {
                "attempt_number": 2,
                "start_time": START,
                "end_time": END,
                "status": "SUCCESS",
                "message": "",
                "parameters": {"p": "long text of it"},
            },
        ],
    }
    return {
        "run_id": "r",
        "dag_hash": "",
        "use_cached": False,
        "tag": "t",
        "original_run_id": "",
        "status": "SUCCESS",
        "steps": {"a": magnus_step},
        "parameters": {"p": 1},
        "run_config": {},
        "labels": {},
        "truncated": [],
        "name": "n",
        **fields,
    }


def test_a_run_of_another_origin_is_printed_in_the_shape_of_runnable() -> None:
    printed = in_shape(document(), "runnable")

    assert list(printed) == ["run_id", "dag_hash", "tag", "status", "steps", "job", "parameters", "run_config"]
    first, last = printed["steps"]["a"]["attempts"]
    assert list(first) == list(attempt())
    assert (first["end_time"], first["user_defined_metrics"]) == ("", {})
    losses = {"0": 1.0, "1": "NaN"}
    assert last["user_defined_metrics"] == {"loss": {"kind": "metric", "value": losses, "description": losses}}
    assert last["input_parameters"] == {
        "p": {"kind": "json", "value": "long text of it", "description": "long text ..."}
    }
    assert list(in_shape(document(), "magnus"))[-1] == "run_config"


def test_a_run_of_runnable_is_printed_as_it_is_kept() -> None:
    labels = to_labels(parts_of(ROOT, run_log(parameters={"x": param(math.inf, "metric")})), 1)

    assert in_shape(document(labels=labels), "runnable")["parameters"]["x"]["value"] == "Infinity"
    assert in_shape(document(labels=labels, truncated=["labels"]), "runnable")["parameters"]["p"]["value"] == 1
