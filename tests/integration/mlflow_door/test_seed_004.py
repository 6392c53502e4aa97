"""Each section of seed 004 with MLflow's own client, its code unchanged: MLFLOW_TRACKING_URI names the door."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.dialect_stack import ROOT, DialectStack
from tests.support.mlflow_door import MlflowDoor

SCRIPT = ROOT / "tests/support/seed_004_script.py"
LISTED = "AttributeError: 'MlflowClient' object has no attribute 'list_experiments'"  # removed in MLflow 2.0


class Seen(NamedTuple):
    """What the script printed and read, and what readers of the log have of its runs."""

    stack: DialectStack
    blocks: dict[str, Any]
    read: dict[str, Any]
    filters: dict[str, Any]

    def printed(self, section: str) -> list[str]:
        """Return the lines that a block printed."""
        return list(self.blocks[section]["printed"])

    def run(self, section: str) -> str:
        """Return the id of the run of a block."""
        return str(self.blocks[section]["run_id"])

    def sql(self, statement: str, section: str) -> list[tuple[Any, ...]]:
        """Return what PostgreSQL has of the run of a block."""
        return self.stack.rows(statement, self.run(section))

    def log(self, section: str) -> dict[str, Any]:
        """Return what the run log has of the run of a block, once the run has ended there."""
        return self.stack.until(self.run(section), lambda log: log["status"] != "PROCESSING", f"{section} ends")


class Statement(NamedTuple):
    """A section, what to look at, and what must be there."""

    section: str
    look: Callable[[Seen], Any]
    expected: Any


@pytest.fixture(scope="module")
def seen(stack: DialectStack, door: MlflowDoor, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The document, executed once for all statements."""
    folder: Path = tmp_path_factory.mktemp("seed-004")
    variables = {"MLFLOW_TRACKING_URI": door.url, "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "HOME": str(folder)}
    done = stack.python(str(SCRIPT), str(folder), env=variables)
    found = json.loads(done.stdout.splitlines()[-1])
    return Seen(stack, {one["section"]: one for one in found["blocks"]}, found["read"], found["filters"])


POINTS = "SELECT name, step, value FROM metric_points WHERE run_id = $1 ORDER BY name, step"
OVERVIEW = "SELECT name, state, experiment, lifecycle_stage FROM runs_overview WHERE run_id = $1"
STATEMENTS = [
    Statement("Experiments: List Experiments", lambda seen: seen.blocks["Experiments: List Experiments"]["error"],
          LISTED),
    Statement("Experiments: List Experiments, in MLflow 3", lambda seen: [
        line.partition(" (ID: ")[0] for line in seen.printed("Experiments: List Experiments, in MLflow 3")
        if line.startswith(("my_", "Default"))], ["my_experiment", "my_first_experiment", "Default"]),
    Statement("Experiments: Delete Experiment", lambda seen: set(seen.read["experiments"]) >= {"Default",
          "my_experiment"},
              True),
    Statement("Runs: Named Runs", lambda seen: seen.sql(OVERVIEW, "Runs: Named Runs"),
              [("v1_baseline_lr0.001", "finished", "my_first_experiment", "active")]),
    Statement("Runs: Get Run Information", lambda seen: seen.printed("Runs: Get Run Information")[0],
          "Status: FINISHED"),
    Statement("Parameters: Logging Parameters", lambda seen: seen.log("Parameters: Logging Parameters")["parameters"], {
        "model": "random_forest", "n_estimators": "100", "max_depth": "10", "min_samples_split": "2",
              "random_state": "42",
    }),
    Statement("Parameters: Querying Parameters", lambda seen: seen.printed("Parameters: Querying Parameters"),
              ["Learning rate: 0.001"]),
    Statement("Metrics: Logging Metrics", lambda seen: seen.sql(POINTS, "Metrics: Logging Metrics"), [
        ("accuracy", 0, 0.95), ("accuracy", 0, 0.95), *(("loss", step, 1.0) for step in range(10)),
        ("precision", 0, 0.93), ("recall", 0, 0.94)]),
    Statement("Metrics: Time Series Metrics", lambda seen: [
        (name, step) for name, step, _ in seen.sql(POINTS, "Metrics: Time Series Metrics")],
        [*(("train_loss", step) for step in range(100)), *(("val_loss", step) for step in range(0, 100, 10))]),
    Statement("Metrics: Query Metrics", lambda seen: seen.printed("Metrics: Query Metrics"), ["Step 0: 0.95"] * 2),
    Statement("Artifacts: Download Artifacts", lambda seen: seen.printed("Artifacts: Download Artifacts"),
              ["model.pkl (file)"]),
    Statement("Model Registry: Manage Versions", lambda seen: seen.printed("Model Registry: Manage Versions"),
              ["Versions: 1", "Status: READY"]),
    Statement("production", lambda seen: seen.printed("production"), ["Production version: 1"]),
    Statement("Model Registry: Load Model from Registry", lambda seen: seen.read["predictions"], [0, 1]),
    Statement("Model Registry: Stage Transitions", lambda seen: seen.read["versions"], [["1", "Production", "READY"]]),
    Statement("Searching Experiments: Search Runs", lambda seen: [
        line.partition("Accuracy: ")[2] for line in seen.printed("Searching Experiments: Search Runs")][:1], ["0.95"]),
    Statement("Searching Experiments: Filter String Syntax", lambda seen: seen.filters, {
        "metrics.accuracy > 0.95": [0.97], "tags.status = 'completed'": [-1],
        "params.learning_rate = 0.001": "INVALID_PARAMETER_VALUE",  # MLflow 3 wants quotes here
        "metrics.accuracy > 0.9 AND params.model = 'rf'": [0.97]}),
    Statement("Comparing Runs: Programmatically", lambda seen: seen.read["compared"], [[None, 0.95], ["rf", 0.97]]),
    Statement("Tags: Set Tags", lambda seen: {
        name: value for name, value in seen.log("Tags: Set Tags")["tags"].items() if not name.startswith("mlflow.")},
        {"model_type": "random_forest", "team": "ml-research", "author": "alice", "version": "v1.0",
              "status": "completed"}),
    Statement("Debugging Failed Runs: Check Run Status",
          lambda seen: seen.printed("Debugging Failed Runs: Check Run Status"),
              ["Status: FAILED", "Lifecycle: active", "Check logs and artifacts for errors"]),
    Statement("Debugging Failed Runs: Check Run Status", lambda seen: seen.sql(
        OVERVIEW, "Debugging Failed Runs: Check Run Status"), [("failed", "failed", "my_first_experiment", "active")]),
]  # fmt: skip


def test_every_block_does_what_the_document_says(seen: Seen) -> None:
    errors = {section: one["error"] for section, one in seen.blocks.items() if one["error"]}

    assert errors == {"Experiments: List Experiments": LISTED}
    assert len(seen.blocks) == 29  # 27 of the document, and those two of it in other words


@pytest.mark.parametrize("statement", STATEMENTS, ids=[one.section for one in STATEMENTS])
def test_what_readers_see(seen: Seen, statement: Statement) -> None:
    assert statement.look(seen) == statement.expected
