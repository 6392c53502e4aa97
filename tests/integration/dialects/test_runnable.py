"""Pipelines of real runnable 0.50 keep their run logs here, changed in nothing but their configuration file."""

from __future__ import annotations

import json
import re
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.local.ports import HOST, free_ports
from schemas import events as ev
from tests.support.client_harness import read_log
from tests.support.dialect_stack import DialectStack
from tests.support.run_logs import differences
from tests.support.runnable_pipelines import PARALLEL, Pipelines

HOME = "home/runnable"  # where local copies are, below the folder of the pipelines
ENDED = ("finished", "failed")
EXISTS = "RunLogExistsError"


@pytest.fixture(scope="module")
def pipelines(stack: DialectStack, session_folder: Path, runnable_packages: Path) -> Pipelines:
    made = Pipelines(session_folder / "runnable", runnable_packages, stack)
    made.configure("ours.yaml", "{type: gateway}")
    return made


@pytest.fixture(scope="module")
def whole(pipelines: Pipelines) -> dict[str, Any]:
    """The run log in PostgreSQL of a pipeline with every kind of node, whose branches ran side by side."""
    config = pipelines.configure("side.yaml", "{type: gateway}", PARALLEL)
    status, errors = pipelines.run("whole.py", "whole", config, GATEWAY_TOKEN="word-of-the-door")
    assert status == 0, errors
    pipelines.sync()  # the process of a branch may be ended before the log has its last record
    return pipelines.stack.until("whole", _has_all("whole"), "the run log is whole")


def _has_all(run_id: str) -> Any:
    def holds(log: dict[str, Any]) -> bool:
        producers = log["completeness"]
        return log["state"] in ENDED and all(one["received"] == one["expected"] for one in producers)

    return holds


def test_the_store_keeps_what_runnables_own_store_keeps(pipelines: Pipelines, whole: dict[str, Any]) -> None:
    config = pipelines.configure("files.yaml", "{type: file-system, config: {log_folder: files}}", PARALLEL)
    assert pipelines.run("whole.py", "whole", config)[0] == 0
    theirs = json.loads((pipelines.folder / "files" / "whole.json").read_text())

    ours = pipelines.kept(HOME, "whole")

    found = {where for where, _, _ in differences(_without_times(theirs), _without_times(ours))}
    assert found == {
        "/run_config/run_log_store/service_name",  # another store
        "/run_config/run_log_store/supports_parallel_writes",  # which runnable's own file store does not
        # runnable computes the description of an object when it reads, and here it reads outside of a pipeline.
        "/parameters/thing/description",
        *(
            f"/steps/{name}/attempts/0/{group}/thing/description"
            for name, group in (
                ("train", "output_parameters"), *((name, "input_parameters") for name in ("hidden", "choose")),
            )
        ),
    }  # fmt: skip


def _without_times(document: Any) -> Any:
    """Return a run log with the same text in place of each time: two runs have their own."""
    text = json.dumps(document)
    return json.loads(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "TIME", text))


def test_both_shapes_are_printed(pipelines: Pipelines, whole: dict[str, Any]) -> None:
    as_runnable = json.loads(pipelines.stack.gateway("runs", "show", "whole", "--format", "runnable").stdout)
    as_magnus = json.loads(pipelines.stack.gateway("runs", "show", "whole", "--format", "magnus").stdout)
    on_disk = pipelines.kept(HOME, "whole")

    # JSON has no NaN. The description of an object is the one that runnable gave it in the pipeline.
    assert _described(as_runnable) == _described(json.loads(json.dumps(on_disk).replace("NaN", '"NaN"')))
    assert as_magnus == {name: whole[name] for name in as_magnus}
    assert list(as_magnus)[:3] == ["run_id", "dag_hash", "use_cached"]
    found = list(differences(_expected(as_runnable), as_magnus))
    # A step starts when runnable announces it, which is before the first time that it writes down.
    others = [one for one in found if not (one[0].endswith("/start_time") and one[2] <= one[1])]
    # Only branches of the map node have `i`: the run's value is the last one in the log. They run side by side, so it
    # may be that of any branch.
    place = pipelines.stack.place
    events = [one.event for one in read_log(place.kafka, place.topic) if one.run_id == "whole"]
    items = [event.params["i"].value for event in events if isinstance(event, ev.Params) and "i" in event.params]
    assert set(items) == {1, 2, 3}
    assert others == [("/parameters/i", "(missing)", items[-1])]


def _described(document: Any) -> str:
    return json.dumps(document).replace("Object stored in memory as", "Pickled object stored in catalog as")


def _expected(kept: dict[str, Any]) -> dict[str, Any]:
    """
    Return what runnable keeps in the shape of Magnus. This is the list of all differences, with their reasons.

    docs/runnable.md has it as a table.
    """
    steps = {name: _step(step) for name, step in kept["steps"].items()}
    return {
        "run_id": kept["run_id"], "dag_hash": kept["dag_hash"], "tag": kept["tag"], "status": kept["status"],
        "run_config": kept["run_config"],
        # Magnus has values without kind and description.
        "parameters": _values(kept["parameters"]),
        # The run itself is the step `main`: its attempts are those of the run, with the parameters of the run.
        "steps": {"main": _main(kept), **steps},
        # runnable has neither; Magnus does.
        "use_cached": False, "original_run_id": "",
    }  # fmt: skip


def _main(kept: dict[str, Any]) -> dict[str, Any]:
    printed = _step({"internal_name": "main", "name": "main", "step_type": "task", "status": kept["status"]})
    printed["attempts"] = [{"parameters": _values(kept["parameters"])}]
    return printed


def _step(step: dict[str, Any]) -> dict[str, Any]:
    attempts = step.get("attempts", [])
    returned = {name: one for attempt in attempts for name, one in attempt["output_parameters"].items()}
    return {
        **{name: step[name] for name in ("name", "internal_name", "status", "step_type")},
        # The message of the last attempt, which runnable leaves out of the step.
        "message": attempts[-1]["message"] if attempts else "",
        "mock": False,
        # Magnus has the code of a step, runnable that of each attempt.
        "code_identities": [code for attempt in attempts for code in attempt["code_identities"]],
        # A step with branches has no attempt in runnable; here it has one, with the times of its start and end.
        "attempts": [_attempt(attempt) for attempt in attempts] or [{"parameters": {}}],
        # Returned values of all kinds; runnable has metrics apart, and all of them as output_parameters.
        "user_defined_metrics": _values(returned),
        # Parameters of a branch are those of its first step and what its steps return: not printed again.
        "branches": {
            name: {
                "internal_name": name, "status": branch["status"],
                "steps": {key: _step(one) for key, one in branch["steps"].items()},
            }
            for name, branch in step.get("branches", {}).items()
        },
        "data_catalog": step.get("data_catalog", []),
    }  # fmt: skip


def _attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    # retry_indicator is runnable's alone.
    return {
        "attempt_number": attempt["attempt_number"],
        "start_time": _utc(attempt["start_time"]), "end_time": _utc(attempt["end_time"]),  # runnable's are local
        "status": attempt["status"], "message": attempt["message"],
        "parameters": _values(attempt["input_parameters"]),
    }  # fmt: skip


def _utc(local: str) -> str:
    return datetime.fromisoformat(local).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _values(parameters: dict[str, Any]) -> dict[str, Any]:
    # Of a pickled object, where it is: runnable has only its name as the value.
    return {name: one["description"] if one["kind"] == "object" else one["value"] for name, one in parameters.items()}


def test_metrics_and_returned_values_are_in_postgresql(pipelines: Pipelines, whole: dict[str, Any]) -> None:
    points = pipelines.stack.rows(
        "SELECT step_name, name, step, value FROM metric_points WHERE run_id = 'whole' ORDER BY 1, 2, 3"
    )

    assert [point for point in points if point[1] != "unknown"] == [
        ("each.1.square", "sq", 0, 1), ("each.2.square", "sq", 0, 4), ("each.3.square", "sq", 0, 9),
        ("fork.left.go", "went", 0, 7), ("shell", "shmetric", 0, 42), ("side.a.count", "m1", 0, 7),
        ("side.b.count", "m2", 0, 7), ("train", "accuracy", 0, 0.9),
        ("train", "losses", 0, 1), ("train", "losses", 1, 0.5), ("train", "losses", 2, 1 / 3),
    ]  # fmt: skip
    assert [point[3] != point[3] for point in points if point[1] == "unknown"] == [True]
    assert whole["tag"] == "exp-a"


def test_no_secret_is_kept_anywhere(pipelines: Pipelines, whole: dict[str, Any]) -> None:
    local = "".join(path.read_text() for path in (pipelines.folder / HOME).rglob("*.json"))

    for word in ("sesame", "word-of-the-door"):
        assert word not in json.dumps(whole)
        assert word not in local


def test_a_failing_task_is_tried_again_as_the_next_attempt(pipelines: Pipelines) -> None:
    status, errors = pipelines.run("fragile.py", "fragile", "ours.yaml")
    assert (status, "ExecutionFailedError" in errors) == (1, True)
    failed = pipelines.stack.until("fragile", _has_all("fragile"), "the run has failed")

    pipelines.let_pass("fragile")
    assert pipelines.run("fragile.py", "ignored", "ours.yaml", RUNNABLE_RETRY_RUN_ID="fragile")[0] == 0
    finished = pipelines.stack.until("fragile", lambda log: log["state"] == "finished", "the run is finished")

    assert failed["status"] == "FAIL"
    assert failed["message"].startswith("step second failed: Call to the function functions.fragile did not succeed")
    assert _attempts(finished, "first") == [(1, "SUCCESS")]
    assert _attempts(finished, "second") == [(1, "FAIL"), (2, "SUCCESS")]
    assert finished["steps"]["second"]["user_defined_metrics"] == {"m": 0.5, "inside": {"0": 1.5, "1": 1.5}}
    assert "inside" not in finished["steps"]["main"]["user_defined_metrics"]
    assert (finished["status"], finished["message"]) == ("SUCCESS", "")


def _attempts(log: dict[str, Any], step: str) -> list[tuple[int, str]]:
    return [(attempt["attempt_number"], attempt["status"]) for attempt in log["steps"][step]["attempts"]]


def test_a_killed_pipeline_is_continued_and_its_id_is_not_used_twice(pipelines: Pipelines) -> None:
    assert pipelines.run("deadly.py", "deadly", "ours.yaml")[0] == -signal.SIGKILL
    status, errors = pipelines.run("deadly.py", "deadly", "ours.yaml")
    assert (status, EXISTS in errors) == (1, True)

    pipelines.let_pass("deadly")
    assert pipelines.run("deadly.py", "ignored", "ours.yaml", RUNNABLE_RETRY_RUN_ID="deadly")[0] == 0
    pipelines.sync()  # the process that continued may have ended before it found the journal of the killed one
    log = pipelines.stack.until("deadly", _has_all("deadly"), "the journal of the killed process is sent")
    assert (log["state"], len(log["completeness"])) == ("finished", 2)
    # runnable forgets an attempt that was killed. It is one nevertheless: what was emitted in it is not the next one's.
    assert [_attempts(log, step) for step in ("first", "second")] == [
        [(1, "SUCCESS")], [(1, "PROCESSING"), (2, "SUCCESS")],
    ]  # fmt: skip
    points = "SELECT step_name, name, attempt FROM metric_points WHERE run_id = 'deadly' ORDER BY 1, 2, 3"
    assert pipelines.stack.rows(points) == [
        ("first", "n", 1), ("second", "inside", 1), ("second", "inside", 2), ("second", "m", 2),
    ]  # fmt: skip
    assert pipelines.kept(HOME, "deadly") == pipelines.kept("elsewhere", "deadly")


def test_a_kill_between_events_and_local_copy_repeats_no_attempt(pipelines: Pipelines) -> None:
    # The fifth state is the one with the attempt of the first step.
    torn = (
        "import os, runpy\n"
        "from gateway.dialects.runnable.local_copy import LocalCopy\n"
        "write, seen = LocalCopy.write, []\n"
        "def once(*state):\n"
        "    seen.append(state)\n"
        "    os.kill(os.getpid(), 9) if len(seen) == 5 else write(*state)\n"
        "LocalCopy.write = once; runpy.run_path(os.path.abspath('fragile.py'), run_name='__main__')"
    )
    (pipelines.folder / "torn.py").write_text(torn)
    pipelines.let_pass("torn")
    assert pipelines.run("torn.py", "torn", "ours.yaml")[0] == -signal.SIGKILL

    assert pipelines.run("fragile.py", "ignored", "ours.yaml", RUNNABLE_RETRY_RUN_ID="torn")[0] == 0
    pipelines.sync()
    log = pipelines.stack.until("torn", _has_all("torn"), "everything has arrived")

    assert _attempts(log, "first") == [(1, "SUCCESS"), (2, "SUCCESS")]
    points = "SELECT name, attempt FROM metric_points WHERE run_id = 'torn' AND step_name = 'first' ORDER BY 2"
    assert pipelines.stack.rows(points) == [("n", 1), ("n", 2)]


def test_of_two_pipelines_with_one_id_at_once_one_runs(pipelines: Pipelines) -> None:
    pipelines.let_pass("both")
    with (
        pipelines.start("fragile.py", "both", "ours.yaml") as one,
        pipelines.start("fragile.py", "both", "ours.yaml") as two,
    ):
        errors = [process.communicate(timeout=120)[1] for process in (one, two)]

    assert sorted(process.returncode for process in (one, two)) == [0, 1]
    assert sum(EXISTS in text for text in errors) == 1


def test_a_run_log_is_read_back_where_there_is_no_local_copy(pipelines: Pipelines, whole: dict[str, Any]) -> None:
    assert pipelines.kept("elsewhere", "whole") == pipelines.kept(HOME, "whole")
    config = pipelines.configure("elsewhere.yaml", "{type: gateway, config: {log_folder: elsewhere2}}")
    status, errors = pipelines.run("fragile.py", "whole", config)
    assert (status, EXISTS in errors) == (1, True)


def test_a_pipeline_runs_while_everything_is_away(pipelines: Pipelines) -> None:
    kafka, api = free_ports(2)
    away = {"GATEWAY_LIVE_URL": f"http://{HOST}:{api}", "GATEWAY_FINISH_TIMEOUT_S": "0.5"}
    pipelines.let_pass("away")
    status, errors = pipelines.run("fragile.py", "away", "ours.yaml", GATEWAY_URL=f"kafka://{HOST}:{kafka}", **away)
    assert status == 0, errors
    assert "whether its run log exists elsewhere is not known" in errors

    assert pipelines.stack.gateway("sync", str(pipelines.folder / "journals")).returncode == 0

    log = pipelines.stack.until("away", _has_all("away"), "everything has arrived")
    assert log["status"] == "SUCCESS"
    assert log["steps"]["second"]["user_defined_metrics"] == {"m": 0.5, "inside": 1.5}


def test_a_job_is_a_run_with_one_step(pipelines: Pipelines) -> None:
    servers = pipelines.environment["GATEWAY_URL"].removeprefix("kafka://")
    pipelines.configure("job.yaml", f"{{type: gateway, config: {{bootstrap_servers: '{servers}'}}}}")
    status, errors = pipelines.run("job.py", "ignored", "", GATEWAY_URL="none:")
    assert status == 0, errors

    log = pipelines.stack.until("job", _has_all("job"), "the job is finished")

    assert (log["status"], log["steps"]["job"]["user_defined_metrics"]) == ("SUCCESS", {"n": 7})
    assert pipelines.kept(HOME, "job")["job"]["status"] == "SUCCESS"
