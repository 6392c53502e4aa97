"""What seeds 000, 001 and 002 say about Magnus, statement by statement: PostgreSQL and the printed run log have it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from importlib.metadata import entry_points
from typing import Any, NamedTuple

import pytest

from consumers.trackers.mlflow.mapping_state import MappingState
from consumers.trackers.mlflow.read import experiment_name
from consumers.trackers.mlflow.translate import Translation, translate
from gateway.dialects.magnus.run_log import import_run_log
from schemas.wire import decode_run
from tests.support import side_packages
from tests.support.dialect_stack import ROOT, DialectStack
from tests.support.magnus_runs import PIPELINES
from tests.support.run_logs import EXAMPLES, SEEDS, example

FILES = {"000": "000_1a826164b4b7c2d6.txt", "001": "001_1c28573838de73d3.txt", "002": "002_8b071c816e240e3d.txt"}
RUNS = {name: str(example(name)["run_id"]) for name in EXAMPLES}
EXECUTED = ("seed-000", "seed-001", "seed-001-steps", "seed-001-shell-steps", "seed-002", "seed-002-history")
SCRIPTS = ("shapes", "variables", "context", "older_form")
STORE = "run_log_store: {type: file-system}\n"


class Seen(NamedTuple):
    """What readers see of the runs of the documents."""

    stack: DialectStack
    warnings: str  # of the script

    def log(self, run_id: str) -> dict[str, Any]:
        """Return a run log as the API has it."""
        return self.stack.log(run_id)

    def metrics(self, run_id: str, step: str) -> dict[str, Any]:
        """Return what a step tracked, as the run log shows it."""
        return dict(self.log(run_id)["steps"][step]["user_defined_metrics"])

    def points(self, run_id: str, name: str) -> list[tuple[int, float]]:
        """Return step and value of each point of a name in PostgreSQL."""
        query = "SELECT step, value FROM metric_points WHERE run_id = $1 AND name = $2 ORDER BY step"
        return [(int(step), float(value)) for step, value in self.stack.rows(query, run_id, name)]


class Statement(NamedTuple):
    """A sentence of a seed, what to look at, and what must be there."""

    seed: str
    sentence: str
    look: Callable[[Seen], Any]
    expected: Any


@pytest.fixture(scope="module")
def seen(stack: DialectStack, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The examples imported, the pipelines executed by real Magnus, and the script: once for all statements."""
    folder = tmp_path_factory.mktemp("seeds")
    stack.done("import", "magnus", *(str(SEEDS / f"{name}.json") for name in EXAMPLES), "--timezone", "UTC")
    (folder / "gateway.yaml").write_text(STORE + "experiment_tracker: {type: gateway}\n")
    (folder / "do-nothing.yaml").write_text(STORE)
    (folder / "seed_tasks.py").write_bytes((PIPELINES / "seed_tasks.py").read_bytes())
    packages = side_packages.environment(side_packages.installed("magnus", tmp_path_factory), folder, TZ="UTC")
    stack.python("seed_tasks.py", "seed-001-do-nothing", *EXECUTED, cwd=folder, env=packages)
    script = stack.python(str(ROOT / "tests/support/seed_script.py"), cwd=folder)
    for run_id in (*EXECUTED, *(f"script-{name}" for name in SCRIPTS)):
        stack.until(run_id, _is_whole, f"{run_id} is stored whole")
    return Seen(stack, script.stderr)


def _is_whole(log: dict[str, Any]) -> bool:
    parts = log["completeness"]
    return bool(parts) and all(one["received"] == one["expected"] for one in parts)


def in_mlflow(name: str) -> Translation:
    """Return what the run of an example is in MLflow: what the delivery calculates, see tests/unit/trackers."""
    records = import_run_log(example(name), UTC).records
    envelopes = [decode_run(one.key, one.value, one.headers) for one in records]
    return translate(envelopes, MappingState(), None, lambda: pytest.fail("the server is not asked"))


def printed(seen: Seen, name: str) -> dict[str, Any]:
    """Return the fields of an example, in their order, as the printed run log has them."""
    log = seen.stack.done("runs", "show", RUNS[name])
    return {field: log[field] for field in list(log)[: len(example(name))]}


def order(value: Any) -> Any:
    """Return the names of a document, in order, and the kinds of its values; free are metrics, files and dag."""
    if isinstance(value, dict):
        free = ("user_defined_metrics", "run_config", "parameters")
        return [(name, type(one).__name__ if name in free else order(one)) for name, one in value.items()]
    if isinstance(value, list):
        return [order(one) for one in value]
    return type(value).__name__


def row(run_id: str, column: str) -> Callable[[Seen], Any]:
    """Return what looks at a column of a run in PostgreSQL."""
    return lambda seen: seen.stack.rows(f"SELECT {column} FROM runs WHERE run_id = $1", run_id)[0][0]


def of_step(name: str, step: str) -> Any:
    """Return the metrics of a step of an example."""
    return example(name)["steps"][step]["user_defined_metrics"]


STATEMENTS = [
    Statement(
        "000", "captured metrics as part of the run log (the example)",
        lambda seen: printed(seen, "000"), example("000"),
    ),
    Statement(
        "000", "captured metrics as part of the run log (names and their order)",
        lambda seen: order(printed(seen, "000")), order(example("000")),
    ),
    Statement(
        "000", "Magnus captures this information as part of the run log (a pipeline of real Magnus)",
        lambda seen: seen.metrics("seed-000", "Emit Metrics"), of_step("000", "Emit Metrics"),
    ),
    Statement(
        "000", "the run log of that pipeline has the names, order and shape of the example",
        lambda seen: order({name: seen.log("seed-000")[name] for name in example("000")}), order(example("000")),
    ),
    Statement(
        "000", "Nested metrics are possible as pydantic models.",
        lambda seen: seen.stack.rows(
            "SELECT value->>'type', value->'value'->>'ham' FROM observations WHERE name = 'eggs' AND run_id = $1",
            "seed-000",
        ),
        [("json", "world")],
    ),
    Statement(
        "000", "The run_id remains the same as the run_id of magnus",
        lambda seen: [row(run_id, "run_id")(seen) for run_id in (RUNS["000"], "seed-000")],
        ["clean-ride-1048", "seed-000"],
    ),
    Statement(
        "000", "The metrics are also sent to mlflow.",
        lambda seen: [(one.key, one.step, one.value) for one in in_mlflow("000").metrics],
        [("Emit Metrics/answer", 0, 42.0)],
    ),
    Statement(
        "001", "dumped as a dict, respecting the alias, before tracking it",
        lambda seen: {name: seen.metrics("script-shapes", "train")[name] for name in ("model", "inside")},
        {"model": {"Ham": "world"}, "inside": {"eggs": [{"Ham": "world"}]}},
    ),
    Statement(
        "001", "Numeric values sent in as strings are converted to int/float before storing them as metrics.",
        lambda seen: [
            {name: seen.metrics("script-variables", "shell")[name] for name in ("whole", "part", "text", "eggs")},
            {name: seen.metrics("seed-001-shell-steps", "shell")[name] for name in ("whole", "tiny")},
        ],
        [{"whole": 42, "part": 42.5, "text": "hello", "eggs": {"ham": "world"}}, {"whole": 7, "tiny": 0.001}],
    ),
    Statement(
        "001", "There is no support for boolean values in environment variables.",
        lambda seen: [seen.metrics("script-variables", "shell")[name] for name in ("yes", "no")], ["true", "False"],
    ),
    Statement(
        "001", "stored in user_defined_metrics field of the step log (the example of the shell)",
        lambda seen: printed(seen, "001"), example("001"),
    ),
    Statement(
        "001", "the content for the shell execution (a shell task of real Magnus)",
        lambda seen: seen.metrics("seed-001", "shell"), of_step("001", "shell"),
    ),
    Statement(
        "001", "It is possible to track metrics over time within a task (the example)",
        lambda seen: printed(seen, "001_steps"), example("001_steps"),
    ),
    Statement(
        "001", "use the step parameter in the API (a pipeline of real Magnus)",
        lambda seen: seen.metrics("seed-001-steps", "Emit Metrics"), of_step("001_steps", "Emit Metrics"),
    ),
    Statement(
        "001", "post-fixing _STEP_ and the increment when using environment variables",
        lambda seen: [
            {name: seen.metrics("seed-001-shell-steps", "shell")[name] for name in ("spam", "eggs", "answer")},
            seen.points("script-variables", "loss"),
        ],
        [
            {name: of_step("001_steps", "Emit Metrics")[name] for name in ("spam", "eggs", "answer")},
            [(0, 1.0), (1, 0.5)],
        ],
    ),
    Statement(
        "001", "The step is defaulted to be 0.", lambda seen: seen.points("script-shapes", "default"), [(0, 3.0)]
    ),
    Statement(
        "001", "Any numeric (int/float) observation is logged as a metric with a step.",
        lambda seen: [
            sorted(seen.points("script-shapes", "loss")),
            [(one.key, one.step, one.value) for one in in_mlflow("001_steps").metrics],
        ],
        [[(0, 1.0), (1, 0.5)], [("Emit Metrics/answer", 0, 42.0)]],
    ),
    Statement(
        "001", "Any non numeric observation is logged as a parameter ... formatted as key_step.",
        lambda seen: {one.key: one.text for one in in_mlflow("001_steps").params if "spam" in one.key},
        {"Emit Metrics/spam_0": "hello", "Emit Metrics/spam_1": "hey"},
    ),
    Statement(
        "001", "The tag associate with an execution is used as the experiment name.",
        lambda seen: [*(seen.log(run)["experiment"] for run in ("seed-000", "script-shapes")), experiment_name("exp")],
        ["exp-seeds", "exp-seeds", "exp"],
    ),
    Statement(
        "001", "The default configuration of do-nothing is no-op by design.",
        lambda seen: seen.log("seed-001-do-nothing"), {},
    ),
    Statement(
        "001", "The default client context is a null context manager.",
        lambda seen: seen.metrics("script-context", "train"),
        {"is_null": True, "is_run": True, "run_id": "script-context"},
    ),
    Statement(
        "002", "This would result in a corresponding entry in user_defined_metrics of the step log",
        lambda seen: seen.metrics("seed-002", "code"), {"answer": 42, "question": 42, "inside": True},
    ),
    Statement(
        "002", "and also would be passed to the underlying experiment tracking tool",
        lambda seen: seen.points("seed-002", "answer"), [(0, 42.0)],
    ),
    Statement(
        "002", "experiment tracking is defined per step of the pipeline",
        lambda seen: seen.stack.rows("SELECT DISTINCT run_id, step_name FROM metric_points WHERE run_id LIKE 'seed-00_'"
                                     " ORDER BY 1"),
        [("seed-000", "Emit Metrics"), ("seed-001", "shell"), ("seed-002", "code")],
    ),
    Statement(
        "002", "environmental variables would not invoke the underlying ... tool (they do, as in Magnus 0.5.1)",
        lambda seen: seen.points("seed-002", "question"), [(0, 42.0)],
    ),
    Statement(
        "002", "Magnus allows the value pair of the metric to be any JSON friendly datatype.",
        lambda seen: {
            name: seen.metrics("script-shapes", "train")[name]
            for name in ("text", "true", "null", "list", "object", "whole", "part")
        },
        {"text": "x", "true": True, "null": None, "list": [1, "two"], "object": {"a": {"b": 1}}, "whole": 7,
         "part": 0.5},
    ),
    Statement(
        "002", "Any value other than 0 as step parameter would create a user_defined_metric of key_{step}.",
        lambda seen: [seen.metrics("script-older_form", "train"), seen.metrics("seed-002-history", "code")],
        [{"answer": 40, "answer_1": 41, "answer_2": 42}, {"answer": {"0": 40, "1": 41, "2": 42}}],
    ),
    Statement(
        "002", "Any environmental variable with prefix MAGNUS_TRACK_ is added to the step log.",
        lambda seen: sorted(seen.metrics("script-variables", "shell")),
        ["bad_STEP_x", "eggs", "loss", "no", "part", "text", "whole", "yes"],
    ),
    Statement(
        "002", "a variable without a key, without a value or without a step is named in one line each",
        lambda seen: [
            sum(f"MAGNUS_TRACK_{name}" in line for line in seen.warnings.splitlines())
            for name in (" has no key", "empty", "bad_STEP_x")
        ],
        [1, 1, 1],
    ),
    Statement(
        "002", "registered as part of the namespace: experiment_tracker",
        lambda _: [point.name for point in entry_points(group="experiment_tracker") if point.dist], ["gateway"],
    ),
    Statement(
        "002", "experiment_tracker: type: config: (of that pipeline)",
        lambda seen: seen.log("seed-002")["run_config"]["experiment_tracker"]["service_name"], "gateway",
    ),
    Statement(
        "002", "you can use tag of magnus (grouping of experiments)",
        lambda seen: sorted(
            one["run_id"]
            for one in seen.stack.done("runs", "list", "--where", "experiment = 'exp-seeds'")["runs"]
        ),
        sorted([*EXECUTED, *(f"script-{name}" for name in SCRIPTS)]),
    ),
]  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS, ids=[f"{FILES[one.seed]}: {one.sentence:.60}" for one in STATEMENTS])
def test_what_the_document_says_is_so(seen: Seen, statement: Statement) -> None:
    assert statement.look(seen) == statement.expected


def test_each_seed_has_its_row_in_the_page_of_the_dialect() -> None:
    page = (ROOT / "docs/magnus.md").read_text(encoding="utf-8")

    assert [seed for seed in ("000", "001", "002") if f"| {seed} |" not in page] == []
