"""Real magnus 0.5.1 with `experiment_tracker: {type: gateway}`, and pipelines that do not know the gateway."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from consumers.trackers.mlflow.tracker import MlflowTracker
from schemas.runlog import RunLog, StepLog
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support import services
from tests.support.client_harness import read_log
from tests.support.magnus_differences import REASONS, differences, reason_of
from tests.support.magnus_runs import REMOTE, Magnus, fold_log
from tests.support.mlflow_service import MlflowServer

SDK = ("sequential", "collision", "hard", "failing", "fails", "mapped", "parallel", "children")
COMPARED = [f"m-{name}" for name in (*SDK, "shell", "branches", "cli", "again", "job")]


class Done(NamedTuple):
    """What several pipelines left: in PostgreSQL, in the log, in their own files, and on the terminal."""

    magnus: Magnus
    logs: dict[str, RunLog]
    envelopes: list[Envelope]
    outputs: dict[str, subprocess.CompletedProcess[str]]

    def metrics(self, run: str, step: str) -> dict[str, Any]:
        """Return what a step tracked, as PostgreSQL has it."""
        return self.steps(run)[step].user_defined_metrics

    def steps(self, run: str) -> dict[str, StepLog]:
        """Return all steps of a run, those in branches as well, by internal name."""
        return dict(walk(self.logs[f"m-{run}"].steps))


def walk(steps: dict[str, StepLog]) -> Iterator[tuple[str, StepLog]]:
    for name, step in steps.items():
        yield name, step
        for branch in step.branches.values():
            yield from walk(branch.steps)


@pytest.fixture(scope="module")
def done(
    kafka: str, postgres_server: str, magnus_packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Done]:
    """All pipelines, executed once, and their log, folded once."""
    topic, folder = f"test-{uuid.uuid4().hex}", tmp_path_factory.mktemp("magnus")
    services.run(services.create_topic(kafka, topic, partitions=2))
    magnus = Magnus(
        folder / "work",
        magnus_packages,
        {
            "GATEWAY_URL": f"kafka://{kafka}",
            "GATEWAY_TOPIC": topic,
            "GATEWAY_CAPTURE": "none",
            "GATEWAY_JOURNAL_DIR": str(folder / "journals"),
            "TZ": "Asia/Kolkata",
        },
    )
    outputs = {
        "killed": magnus.pipelines("config.yaml", ["killed"]),
        "sdk": magnus.pipelines("config.yaml", SDK),
        "shell": magnus.execute("shell.yaml", "m-shell", MAGNUS_VAR_db_password="hunter2"),
        "branches": magnus.execute("branches.yaml", "m-branches"),
        "dies": magnus.execute("branches.yaml", "m-dies", MAGNUS_PRM_chunks='["b.c"]'),
        "at once": magnus.execute("branches.yaml", "m-at-once", "at-once.yaml"),
        "cli": magnus.execute("fails.yaml", "m-cli"),
        "again": magnus.execute("fails.yaml", "m-again", "config.yaml", "--use-cached", "m-cli"),
        "job": magnus.execute("shell.yaml", "m-written-only", "job.yaml"),
        "step 1": magnus.execute_step("shell.yaml", "m-job", "shell"),
        "step 2": magnus.execute_step("shell.yaml", "m-job", "success"),
        "sync": magnus.python("-c", "from gateway.cli.main import main; main()", "sync"),
    }
    database = services.run(services.create_database(postgres_server))
    logs = services.run(fold_log(kafka, topic, database))
    yield Done(magnus, logs, read_log(kafka, topic), outputs)
    services.run(services.drop_database(postgres_server, database))


def test_pipelines_end_as_without_the_gateway(done: Done) -> None:
    codes = {name: output.returncode for name, output in done.outputs.items()}

    assert {name: code for name, code in codes.items() if code} == {
        "killed": -9, "dies": 1, "at once": 1, "cli": 1, "again": 1
    }  # fmt: skip
    assert set(done.logs) == {*COMPARED, "m-killed", "m-dies", "m-at-once"}
    assert [
        line for one in done.outputs.values() for line in one.stderr.splitlines() if line.startswith("gateway:")
    ] == []


@pytest.mark.parametrize("run_id", COMPARED)
def test_the_run_log_is_that_of_magnus_but_for_what_is_listed(done: Done, run_id: str) -> None:
    found = differences(done.magnus.written(run_id), done.logs[run_id].model_dump())

    assert [one for one in found if reason_of(one) is None] == []


def test_every_listed_difference_is_there_and_described(done: Done) -> None:
    found = [one for run in COMPARED for one in differences(done.magnus.written(run), done.logs[run].model_dump())]
    page = (Path(__file__).parents[3] / "docs/magnus.md").read_text(encoding="utf-8")

    assert {reason_of(one) for one in found} == set(REASONS.values())
    assert [reason for reason in REASONS.values() if f"| {reason} |" not in page] == []


def test_a_run_is_what_magnus_says_of_it(done: Done) -> None:
    log = done.logs["m-shell"]

    assert (log.run_id, log.name, log.tag) == ("m-shell", "m-shell", "exp-a")
    assert (log.state, log.status) == ("finished", "SUCCESS")
    assert [step.internal_name for step in log.steps.values()] == ["shell", "success"]
    assert log.run_config["experiment_tracker"]["service_name"] == "gateway"
    assert log.run_config["pipeline_file"] == "shell.yaml"
    assert "hunter2" not in log.model_dump_json()
    (code,) = log.steps["shell"].code_identities
    assert (code.code_identifier_type, code.code_identifier_url) == ("git", REMOTE)
    assert len(code.code_identifier) == 40
    (file,) = log.steps["shell"].data_catalog
    assert (Path(file.catalog_handler_location.removeprefix("file://")) / file.catalog_relative_path).is_file()


def test_values_keep_types_steps_and_case(done: Done) -> None:
    assert done.metrics("sequential", "Emit Metrics") == {
        "spam": "hello", "eggs": {"Ham": "world"}, "answer": 42.0, "is_it_true": False,
    }  # fmt: skip
    assert done.metrics("sequential", "Emit Steps") == {
        "loss": {"0": 1.0, "1": 0.5, "2": 1 / 3},
        "spam": {"0": "hey0", "1": "hey1", "2": "hey2"},
        "answer": 42,
        "nothing": None,
        "some": [1, "two"],
    }  # fmt: skip
    assert done.metrics("shell", "shell") == {
        "spam": "hello", "eggs": {"ham": "world"}, "answer": 42.0, "Loss": {"1": 0.5}, "yes": True,
    }  # fmt: skip
    assert done.logs["m-sequential"].parameters == {"chunks": [1, 2], "answer": 42}


def test_a_pipeline_survives_what_magnus_dies_of_and_loses_nothing(done: Done) -> None:
    assert done.metrics("hard", "hard") == {
        "acc": {"1": 0.5},
        "Loss": 1.0,
        "loss": 2.0,
        "loss_STEP_size": 3,
        "twice": {"2": 2.0},
        "nan": "NaN",
        "infinite": "-Infinity",
        "by_name": {"0": "looks like a step"},
    }  # fmt: skip
    assert [value for name, _, value in points(done, "m-hard") if name == "twice"] == [1.0, 2.0]
    assert done.metrics("hard", "context") == {"inside": "m-hard", "from_context": 7}


def test_what_a_failing_step_tracked_is_kept(done: Done) -> None:
    for run in ("failing", "fails", "cli"):
        assert done.metrics(run, "fails") == {"before": 0.5, "spam": "kept"}
        assert done.logs[f"m-{run}"].steps["fails"].status == "FAIL"
    assert (done.logs["m-failing"].state, done.metrics("failing", "clean up")) == ("finished", {"cleaned": True})
    assert [(done.logs[f"m-{run}"].state, done.logs[f"m-{run}"].message) for run in ("fails", "cli")] == [
        ("failed", "step fails failed: no such file")
    ] * 2


def test_a_pipeline_that_is_executed_again_says_which_steps_it_took_from_the_first(done: Done) -> None:
    log = done.logs["m-again"]

    assert (log.use_cached, log.original_run_id, log.state) == (True, "m-cli", "failed")
    assert [(name, step.mock) for name, step in done.steps("again").items()] == [
        ("hello", True), ("fails", False), ("fail", False)
    ]  # fmt: skip


def test_what_a_child_process_tracked_is_kept(done: Done) -> None:
    assert done.metrics("children", "children") == {"loss": {"0": 0.5, "1": 0.5}, "here": 1}


def test_what_a_killed_pipeline_tracked_is_kept(done: Done) -> None:
    log = done.logs["m-killed"]

    assert log.state == "killed"
    assert log.steps["dies"].user_defined_metrics == {"loss": {"7": 0.125}}


def test_steps_that_have_ended_before_magnus_dies_have_ended(done: Done) -> None:
    """A map over a value with a dot: `KeyError: 'mapper.b'`."""
    log, written = done.logs["m-dies"], done.magnus.written("m-dies")

    assert (log.state, log.message, written["status"]) == ("failed", "KeyError: 'mapper.b'", "PROCESSING")
    assert [(name, step.status) for name, step in log.steps.items()] == [("both", "SUCCESS"), ("mapper", "PROCESSING")]
    assert {name: step["status"] for name, step in written["steps"].items()} == {
        name: step.status for name, step in log.steps.items()
    }


def test_branches_are_told_apart_by_their_internal_names(done: Done) -> None:
    for run in ("mapped", "branches"):
        assert [done.metrics(run, f"mapper.{chunk}.one") for chunk in (1, 2)] == [{"rows": 10}, {"rows": 20}]
    for run in ("parallel", "branches"):
        assert [done.metrics(run, f"both.{side}.inner") for side in ("left", "right")] == [{"rows": 7}] * 2
    steps = done.steps("branches")
    assert [(steps[one].step_type, steps[one].status) for one in ("both", "mapper")] == [
        ("parallel", "SUCCESS"),
        ("map", "SUCCESS"),
    ]
    assert list(steps)[:3] == ["both", "both.left.inner", "both.left.success"]


def test_branches_in_processes_of_their_own_join_the_run(done: Done) -> None:
    """Magnus 0.5.1 starts them and then dies: `fan_in() got multiple values for keyword argument 'map_variable'`."""
    log = done.logs["m-at-once"]

    assert "fan_in() got multiple values" in done.outputs["at once"].stderr
    assert (log.state, "fan_in() got multiple values" in log.message) == ("failed", True)
    assert [done.metrics("at-once", f"both.{side}.inner") for side in ("left", "right")] == [{"rows": 7}] * 2
    assert [(one.received, one.missing) for one in log.completeness] == [(one.expected, []) for one in log.completeness]


def test_the_steps_of_a_job_are_one_run(done: Done) -> None:
    """Argo's executor writes a job, whose containers execute one step each: no process starts the run."""
    log = done.logs["m-job"]

    assert (log.name, log.tag, log.state, len(log.completeness)) == ("m-job", "exp-a", "finished", 2)
    assert log.start_time is not None
    assert done.metrics("job", "shell") == done.metrics("shell", "shell")


CONFIGURE = """
from gateway.dialects.magnus.tracker import GatewayTracker
urls = "https://user:hunter2@host", "https://h/?token=hunter2"
for config in {"token": "hunter2"}, *({"url": url} for url in urls), {"topic": "hunter2"}:
    try:
        print(GatewayTracker(**config))
    except ValueError as error:
        print(error)
"""


def test_a_secret_or_an_unknown_key_in_the_configuration_is_refused_unseen(done: Done) -> None:
    said = done.magnus.python("-c", CONFIGURE)

    assert said.stdout.count("Magnus writes this into its run log: give secrets in GATEWAY_TOKEN instead") == 3
    assert said.stdout.count("Extra inputs are not permitted") == 1
    assert "hunter2" not in said.stdout + said.stderr


def test_the_same_pipeline_dies_with_the_mlflow_tracker_of_magnus_and_finishes_here(
    done: Done, mlflow_server: MlflowServer
) -> None:
    stock = f"experiment_tracker: {{type: mlflow, config: {{server_url: '{mlflow_server.url}'}}}}\n"
    (done.magnus.folder / "mlflow.yaml").write_text(stock)
    died = done.magnus.pipelines("mlflow.yaml", ["collision"])
    assert "Changing param values is not allowed" in died.stdout + died.stderr

    assert done.logs["m-collision"].state == "finished"
    assert done.metrics("collision", "first") == {"spam": "hello", "rows": 3}
    assert done.metrics("collision", "second") == {"spam": "hey", "rows": 4}

    tracker = MlflowTracker()
    tracker.open(Settings(mlflow_url=mlflow_server.url))
    state = tracker.deliver("m-collision", [one for one in done.envelopes if one.run_id == "m-collision"], {})
    held = MlflowClient(mlflow_server.url).get_run(str(state["run"])).data
    assert held.metrics == {"first/rows": 3.0, "second/rows": 4.0}
    assert held.params == {"first/spam_0": "hello", "second/spam_0": "hey", "chunks": "[1,2]"}


def points(done: Done, run_id: str) -> list[tuple[str, int, float]]:
    """Return name, step and value of the points of a run, in the order of the log."""
    series = [one for at in done.envelopes if at.run_id == run_id for one in getattr(at.event, "series", ())]
    return [(one.name, step, value) for one in series for step, value in zip(one.steps, one.values, strict=True)]
