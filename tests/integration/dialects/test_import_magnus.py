"""Run logs that real Magnus 0.5.1 wrote, imported: PostgreSQL has what the files have, once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from gateway.client.address import Address
from gateway.client.shipping.immediate import send_records
from gateway.dialects.magnus.run_log import import_run_log
from gateway.dialects.magnus.run_log_files import read_run_log
from tests.support import side_packages
from tests.support.delivery_process import delivery
from tests.support.dialect_stack import DialectStack
from tests.support.run_logs import differences, run_log, step
from tests.support.server_process import serving

FUNCTIONS = """
from magnus import set_parameter, track_this
from pydantic import BaseModel, Field

class Eggs(BaseModel):
    ham: str = Field(alias="Ham")

def emit():
    track_this(spam="hello", eggs=Eggs(Ham="world"), answer=42.0, is_it_true=False, bad=float("nan"))

def steps():
    for at in range(3):
        track_this(step=at, loss=1.0 / (at + 1), spam=f"hey{at}")
    track_this(count=7, many=[1, None])
    set_parameter(out=5)

def part(chunk: str):
    track_this(accuracy=0.5, chunk=chunk)

def boom():
    track_this(x=1)
    raise ValueError("no way")
"""
WHOLE = """
dag:
  start_at: emit
  steps:
    emit: {type: task, command: functions.emit, next: steps}
    steps: {type: task, command: functions.steps, next: map, catalog: {put: [out.txt]}}
    map:
      type: map
      iterate_on: chunks
      iterate_as: chunk
      next: parallel
      branch:
        start_at: one
        steps: {one: {type: task, command: functions.part, next: success}, success: {type: success}, fail: {type: fail}}
    parallel:
      type: parallel
      next: success
      branches:
        a:
          start_at: in
          steps:
            in: {type: task, command: functions.emit, next: success, catalog: {get: [out.txt], put: [out.txt]}}
            success: {type: success}
            fail: {type: fail}
        b:
          start_at: in
          steps:
            in: {type: task, command: functions.emit, next: success}
            success: {type: success}
            fail: {type: fail}
    success: {type: success}
    fail: {type: fail}
"""
FAILING = """
dag:
  start_at: inner
  steps:
    inner: {type: dag, dag_definition: inner.yaml, next: skipped}
    skipped: {type: stub, next: boom}
    boom: {type: task, command: functions.boom, next: success, on_failure: fail}
    success: {type: success}
    fail: {type: fail}
"""
INNER = """
dag:
  start_at: only
  steps: {only: {type: task, command: functions.emit, next: success}, success: {type: success}, fail: {type: fail}}
"""
# One process for all: loading Magnus takes longer than running these.
RUN_ALL = """
from magnus.entrypoints import execute
for run_id, dag, store, cached in (
    ("fs-1", "whole", "fs", ""), ("chunked-1", "whole", "chunked", ""),
    ("failed-1", "failing", "fs", ""), ("again-1", "failing", "fs", "failed-1"),
):
    try:
        execute(
            configuration_file=f"{store}.yaml", pipeline_file=f"{dag}.yaml", tag="exp-a", run_id=run_id,
            parameters_file="parameters.yaml", use_cached=cached,
        )
    except Exception as error:
        print(type(error).__name__)
"""
# What is printed otherwise than Magnus wrote it, by place, with the reason.
DIFFERENCES = {
    r".*/code_identities/0/code_identifier(_url)?": "text, where Magnus writes null outside a git repository",
    r"/steps/(map|parallel|inner)/attempts": "a step with branches has one attempt, from its first to its last step",
    r"/steps/skipped/attempts": "a step that is not executed again has one attempt, of no length",
    r".*/user_defined_metrics/bad": "JSON has no NaN: it is the text 'NaN'",
    r".*/steps/[^/]+/message": "a step has the message of its last attempt, where Magnus writes none",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of run logs that real Magnus wrote: with branches, chunked, failing, and executed again from it."""
    folder = tmp_path_factory.mktemp("pipelines")
    files = {
        "functions.py": FUNCTIONS, "run.py": RUN_ALL, "out.txt": "hi",
        "whole.yaml": WHOLE, "failing.yaml": FAILING, "inner.yaml": INNER,
        "fs.yaml": "run_log_store: {type: file-system}", "chunked.yaml": "run_log_store: {type: chunked-fs}",
        "parameters.yaml": "chunks: [1, two]\nepochs: 3\nnested: {a: 1}\n",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = side_packages.environment(side_packages.installed("magnus", tmp_path_factory), folder, TZ="UTC")
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / ".run_log_store"


@pytest.fixture(scope="module")
def imported(stack: DialectStack, store: Path) -> list[dict[str, Any]]:
    """What `gateway import magnus` reports of that folder."""
    found: list[dict[str, Any]] = stack.done("import", "magnus", str(store), "--timezone", "UTC")["run_logs"]
    return found


def unexplained(found: Iterator[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    return [one for one in found if not any(re.fullmatch(place, one[0]) for place in DIFFERENCES)]


def counts(stack: DialectStack, run_id: str) -> Mapping[str, int]:
    """Return how many rows of each kind a run has in PostgreSQL."""
    tables = ("steps", "attempts", "params", "artifacts", "code_identities", "observations")
    found = {name: stack.rows(f"SELECT count(*) FROM {name} WHERE run_id = $1", run_id)[0][0] for name in tables}
    return found | {"points": stack.rows("SELECT points FROM runs WHERE run_id = $1", run_id)[0][0]}


def write(folder: Path, document: Mapping[str, Any]) -> str:
    """Write a run log as Magnus would; return the path."""
    path = folder / f"{document['run_id']}.json"
    path.write_text(json.dumps(document, indent=4))
    return str(path)


@pytest.mark.parametrize("run_id", ["fs-1", "chunked-1", "failed-1", "again-1"])
def test_the_printed_run_log_equals_the_file_except_for_what_is_listed(
    stack: DialectStack, store: Path, imported: list[dict[str, Any]], run_id: str
) -> None:
    file = store / (run_id if run_id == "chunked-1" else f"{run_id}.json")

    assert {one["run_id"]: one["state"] for one in imported}[run_id] == "imported"
    assert unexplained(differences(read_run_log(file), stack.log(run_id))) == []


def test_every_listed_difference_exists(stack: DialectStack, store: Path, imported: list[dict[str, Any]]) -> None:
    found = [
        place
        for run_id in ("fs-1", "failed-1", "again-1")
        for place, _, _ in differences(read_run_log(store / f"{run_id}.json"), stack.log(run_id))
    ]

    assert [place for place in DIFFERENCES if not any(re.fullmatch(place, one) for one in found)] == []


def test_points_and_times_are_in_postgresql_as_in_the_file(stack: DialectStack, imported: list[dict[str, Any]]) -> None:
    log = stack.log("fs-1")
    points = stack.rows(
        "SELECT name, step, value FROM metric_points WHERE run_id = 'fs-1' AND step_name = 'steps' ORDER BY 1, 2"
    )
    (run,) = stack.rows("SELECT tag, state, started, ended FROM runs WHERE run_id = 'fs-1'")
    (ends,) = stack.rows("SELECT min(started), max(ended) FROM attempts WHERE run_id = 'fs-1'")

    assert points == [("count", 0, 7.0), *(("loss", at, 1.0 / (at + 1)) for at in range(3))]
    assert run == ("exp-a", "finished", *ends)
    assert {one["received"] == one["expected"] for one in log["completeness"]} == {True}


def test_importing_again_changes_nothing(stack: DialectStack, store: Path, imported: list[dict[str, Any]]) -> None:
    before = counts(stack, "fs-1"), stack.log("fs-1")
    again = stack.done("import", "magnus", str(store / "fs-1.json"), str(store), "--timezone", "Asia/Tokyo")

    assert {one["state"] for one in again["run_logs"]} == {"unchanged"}
    assert (counts(stack, "fs-1"), stack.log("fs-1")) == before


def test_an_import_that_was_killed_in_the_middle_is_finished_by_the_next(
    stack: DialectStack, store: Path, imported: list[dict[str, Any]], tmp_path: Path
) -> None:
    document = {**read_run_log(store / "fs-1.json"), "run_id": "killed-1"}
    records = import_run_log(document, UTC).records
    address = Address(stack.variables["GATEWAY_URL"], stack.place.topic)
    send_records(address, records[: len(records) // 2], timeout_s=60)
    stack.until("killed-1", lambda log: log["steps"], "the first half is folded")
    (outcome,) = stack.done("import", "magnus", write(tmp_path, document), "--timezone", "UTC")["run_logs"]
    log = stack.log("killed-1")

    assert (outcome["state"], outcome["events"]) == ("imported", len(records))
    assert counts(stack, "killed-1") == counts(stack, "fs-1")
    assert [(one["received"], one["expected"], one["refused_duplicates"]) for one in log["completeness"]] == [
        (len(records), len(records), len(records) // 2)
    ]


def test_a_run_log_that_magnus_wrote_more_of_replaces_the_metrics_of_the_first(
    stack: DialectStack, tmp_path: Path
) -> None:
    first = step("train", user_defined_metrics={"loss": {"0": 1.0, "1": 0.5}, "spam": "hello"})
    before = run_log(first, run_id="grown-1", status="PROCESSING")
    after = run_log(first, step("test", user_defined_metrics={"accuracy": 0.9}), run_id="grown-1", status="SUCCESS")
    states = []
    for document in (before, after, after, before):
        (outcome,) = stack.done("import", "magnus", write(tmp_path, document), "--timezone", "UTC")["run_logs"]
        states.append((outcome["state"], stack.log("grown-1")["state"]))
    log = stack.log("grown-1")

    assert states == [
        ("imported", "lost"),
        ("updated", "finished"),
        ("unchanged", "finished"),
        ("unchanged", "finished"),
    ]
    assert log["status"] == "SUCCESS"
    assert unexplained(differences(after, log)) == []
    assert stack.rows("SELECT count(*) FROM metric_points WHERE run_id = 'grown-1'") == [(3,)]
    assert stack.rows("SELECT count(*) FROM observations WHERE run_id = 'grown-1'") == [(1,)]


@pytest.mark.parametrize("is_together", [False, True])
def test_an_older_copy_of_a_run_log_does_not_replace_what_a_newer_one_has(
    stack: DialectStack, tmp_path: Path, is_together: bool
) -> None:
    run_id = f"copied-{is_together}"
    train, test = (step(name, user_defined_metrics={"loss": 0.5}) for name in ("train", "test"))
    newer, older = run_log(train, test, run_id=run_id), run_log(train, run_id=run_id, status="PROCESSING")
    places = []
    for name, document in (("1", newer), ("2", older)):
        (tmp_path / name).mkdir()
        places.append(write(tmp_path / name, document))
    outcomes = [
        outcome
        for several in ([places] if is_together else [[place] for place in places])
        for outcome in stack.done("import", "magnus", *several, "--timezone", "UTC")["run_logs"]
    ]

    assert [outcome["state"] for outcome in outcomes] == ["imported", "unchanged"]
    assert unexplained(differences(newer, stack.log(run_id))) == []


def test_what_cannot_be_imported_is_named_and_the_others_go_on(stack: DialectStack, tmp_path: Path) -> None:
    write(tmp_path, run_log(step("a", user_defined_metrics={"x": 1}), run_id="good-1"))
    write(tmp_path, run_log(step("a", message="\x00"), run_id="nul-1"))
    write(tmp_path, run_log(step("a", colour="red"), run_id="unknown-1"))
    (tmp_path / "cut.json").write_text('{"run_id": "cut-1", "steps": {')
    (tmp_path / "other.json").write_text("[]")
    answer = stack.gateway("import", "magnus", str(tmp_path), str(tmp_path / "none.json"), "--timezone", "UTC")
    lines = answer.stderr.splitlines()

    assert answer.returncode == 2
    assert answer.stdout == "6 run logs: 1 imported, 5 failed (8 events, 1 points)\n"
    assert [line.partition(": ")[0] for line in lines] == ["gateway"] * 5
    assert stack.log("good-1")["status"] == "SUCCESS"
    assert [run_id for run_id in ("nul-1", "unknown-1", "cut-1") if stack.log(run_id)] == []


def test_a_run_that_was_deleted_or_written_while_it_ran_is_refused(stack: DialectStack, tmp_path: Path) -> None:
    gone = write(tmp_path, run_log(step("a"), run_id="gone-1"))
    stack.done("import", "magnus", gone)
    stack.done("runs", "delete", "gone-1", "--yes")
    train = "import gateway; gateway.start_run(run_id='own-1', name='n').finish()"
    subprocess.run(
        [sys.executable, "-c", train], env=side_packages.environment(tmp_path, **stack.variables), check=True
    )
    stack.until("own-1", lambda log: log["status"] == "SUCCESS", "the run is folded")
    own = write(tmp_path, run_log(step("a"), run_id="own-1"))
    answer = stack.gateway("import", "magnus", gone, own, "--json")

    assert [one["error"].partition(":")[0] for one in json.loads(answer.stdout)["run_logs"]] == [
        "run gone-1 was deleted, and stays deleted",
        "run own-1 is in the log already, written while it ran",
    ]


def test_an_import_through_the_http_server_and_a_dry_run(stack: DialectStack, tmp_path: Path) -> None:
    path = write(tmp_path, run_log(step("a", user_defined_metrics={"x": 1}), run_id="http-1"))
    (dry,) = stack.done("import", "magnus", path, "--dry-run")["run_logs"]
    assert (dry["state"], stack.log("http-1")) == ("read", {})
    with serving(tmp_path, stack.place.kafka, stack.place.topic) as server:
        (outcome,) = stack.done("import", "magnus", path, GATEWAY_URL=server.url)["run_logs"]

    assert outcome == {**dry, "state": "imported"}
    assert stack.log("http-1")["steps"]["a"]["user_defined_metrics"] == {"x": 1}


def test_what_was_imported_is_rebuilt_the_same_and_delivered_whole(
    stack: DialectStack, imported: list[dict[str, Any]], tmp_path: Path
) -> None:
    check = stack.gateway("rebuild", "--check", "--json")
    tracker = {"GATEWAY_TRACKERS": "parquet", "GATEWAY_PARQUET_DIR": str(tmp_path)}
    runs = [argument for one in imported for argument in ("--run", one["run_id"])]
    with delivery(stack.place, "parquet", tracker):
        proof = stack.gateway("verify", "--to", "parquet", *runs, "--wait", "120", "--json", **tracker)

    assert (check.returncode, check.stderr) == (0, "")
    assert (proof.returncode, json.loads(proof.stdout)["differences"]) == (0, [])
