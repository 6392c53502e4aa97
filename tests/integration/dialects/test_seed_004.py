"""
What seed 004 shows of tracking, statement by statement, with our own API on real parts: log, PostgreSQL and query API.

The document's code is MLflow's. Each case names a part of it and holds ours to the same outcome.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import gateway
from gateway import artifacts, experiments, models, query
from gateway.client.query import get, run_path
from tests.support.dialect_stack import DialectStack

SEED = "004_29d4840a0c625452.txt"
OURS = "name in ('my_experiment', 'my_first_experiment')"  # the stack is shared
FILTER = "metrics.accuracy > 0.9 AND params.model = 'rf'"


class Seen(NamedTuple):
    """What the code of the document did, in our API's words, and what readers see of it."""

    stack: DialectStack
    experiment: experiments.Experiment
    run_ids: list[str]  # the named run, three of a search, and one that failed
    active_at_first: list[str]
    active_after_deletion: list[str]

    @property
    def run(self) -> query.StoredRun:
        """The run that "v1_baseline_lr0.001" names."""
        return query.get_run(self.run_ids[0])

    def history(self, name: str) -> list[tuple[int, float]]:
        """Return step and value of each point of the run."""
        return [(point.step, point.value) for point in query.metric_history(self.run_ids[0], name)]

    def search(self, where: str = "", **how: Any) -> list[str]:
        """Return the names of the runs of the experiment that match."""
        return [one.name for one in query.search_runs(where, experiment=self.experiment.name, **how)]

    def compared(self, run_id: str) -> tuple[Any, float]:
        """Return a parameter and a metric of a run."""
        run = query.get_run(run_id)
        return run.params["model"], run.metrics["accuracy"]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what PostgreSQL has of the run."""
        return self.stack.rows(statement, self.run_ids[0])

    def artifacts(self, path: str = "") -> list[tuple[str, bool]]:
        """Return path of each artifact directly in a folder of the run, and whether it is a folder itself."""
        found = get(self.stack.api, run_path(self.run_ids[0], "artifacts"), path=path)["artifacts"]
        return [(one["path"], one["is_dir"]) for one in found]


class Statement(NamedTuple):
    """A part of the document, what to look at, and what must be there."""

    part: str
    look: Callable[[Seen], Any]
    expected: Any


@pytest.fixture(scope="module")
def seen(stack: DialectStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The code of the document, executed once for all statements."""
    folder = tmp_path_factory.mktemp("seed-004")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**stack.variables, "GATEWAY_ARTIFACTS": f"file://{folder}/store"}.items():
            patch.setenv(name, value)
        patch.setenv("GATEWAY_JOURNAL_DIR", str(folder / "journals"))
        patch.chdir(folder)
        experiment = experiments.ensure("my_first_experiment")
        other = experiments.create("my_experiment", artifact_location="./artifacts")
        at_first = [one.name for one in experiments.search(OURS)]
        experiments.delete(other.id)
        after = [one.name for one in experiments.search(OURS)]
        experiments.restore(other.id)
        run_ids = [_train(folder), *_search_material(), _fail()]
        _register(run_ids[0])
        yield Seen(stack, experiment, run_ids, at_first, after)


def _train(folder: Path) -> str:
    (folder / "model.pkl").write_bytes(pickle.dumps({"weights": [1, 2]}))
    (folder / "models").mkdir()
    (folder / "models" / "a.txt").write_text("a")
    (folder / "plots").mkdir()
    (folder / "plots" / "plot.png").write_bytes(b"png")
    with gateway.start_run(name="v1_baseline_lr0.001", tag="my_first_experiment") as run:
        run.log_params({"learning_rate": 0.001})
        run.log_params({"model": "random_forest", "n_estimators": 100})
        run.log_params({"max_depth": 10, "min_samples_split": 2, "random_state": 42})
        run.emit("accuracy", 0.95)
        for epoch in range(10):
            run.emit("loss", 1 / (epoch + 1), step=epoch)
            if epoch % 5 == 0:
                run.emit("val_loss", 2 / (epoch + 1), step=epoch)
        run.emit({"precision": 0.93, "recall": 0.94})
        run.set_tags(model_type="random_forest", team="ml-research")
        run.set_tags({"author": "alice", "version": "v1.0", "status": "completed"})
        run.log_artifact("model.pkl")
        run.log_artifacts("models/")
        run.log_artifacts("plots/", artifact_path="visualizations")
    return _readable(run)


def _search_material() -> list[str]:
    found = []
    for name, accuracy, model in (("good", 0.97, "rf"), ("other", 0.96, "svm"), ("bad", 0.5, "rf")):
        with gateway.start_run(name=name, tag="my_first_experiment") as run:
            run.log_params({"model": model})
            run.emit("accuracy", accuracy)
        found.append(_readable(run))
    return found


def _fail() -> str:
    with pytest.raises(ValueError, match="no data"), gateway.start_run(name="failed", tag="my_experiment") as run:
        raise ValueError("no data")
    return _readable(run)


def _readable(run: gateway.Run) -> str:
    run.barrier()
    return run.id


def _register(run_id: str) -> None:
    source = f"runs:/{run_id}/model.pkl"
    for _ in range(2):
        models.create_version("iris_classifier", source, run_id=run_id, register_model=True)
    models.set_stage("iris_classifier", 1, "Staging")
    models.set_stage("iris_classifier", 1, "Production")


STATEMENTS = [
    # Experiments
    Statement("set_experiment creates it if it does not exist",
              lambda seen: experiments.ensure("my_first_experiment").id == seen.experiment.id, True),
    Statement("create_experiment with an artifact_location",
              lambda _: experiments.get_by_name("my_experiment").artifact_location, "./artifacts"),
    Statement("list_experiments: name and id",
              lambda seen: seen.active_at_first, ["my_experiment", "my_first_experiment"]),
    Statement("delete_experiment", lambda seen: seen.active_after_deletion, ["my_first_experiment"]),
    Statement("restore_experiment", lambda _: experiments.get_by_name("my_experiment").is_deleted, False),
    # Runs
    Statement("run_name names the run", lambda seen: seen.run.name, "v1_baseline_lr0.001"),
    Statement("get_run: status", lambda seen: seen.run.state, "finished"),
    Statement("end_time - start_time", lambda seen: (seen.run.duration_s or -1) >= 0, True),
    Statement("... in PostgreSQL", lambda seen: seen.sql(
        "SELECT name, state, experiment, lifecycle_stage FROM runs_overview WHERE run_id = $1"),
        [("v1_baseline_lr0.001", "finished", "my_first_experiment", "active")]),
    Statement("the run is in the active experiment", lambda seen: seen.run.experiment_id == seen.experiment.id, True),
    # Parameters
    Statement("log_param, log_params, run.data.params", lambda seen: seen.run.params, {
        "learning_rate": 0.001, "model": "random_forest", "n_estimators": 100, "max_depth": 10, "min_samples_split": 2,
        "random_state": 42,
    }),
    # Metrics
    Statement("log_metric", lambda seen: seen.history("accuracy"), [(0, 0.95)]),
    Statement("log_metric with step", lambda seen: seen.history("loss"), [(n, 1 / (n + 1)) for n in range(10)]),
    Statement("a second metric now and then", lambda seen: seen.history("val_loss"), [(0, 2.0), (5, 2 / 6)]),
    Statement("log_metrics", lambda seen: {name: seen.run.metrics[name] for name in ("precision", "recall")},
              {"precision": 0.93, "recall": 0.94}),
    Statement("... in PostgreSQL", lambda seen: seen.sql(
        "SELECT name, count(*), max(step) FROM metric_points WHERE run_id = $1 GROUP BY name ORDER BY name"),
        [("accuracy", 1, 0), ("loss", 10, 9), ("precision", 1, 0), ("recall", 1, 0), ("val_loss", 2, 5)]),
    Statement("... in the run log", lambda seen: seen.stack.log(seen.run_ids[0])["steps"]["main"]
              ["user_defined_metrics"]["val_loss"], {"0": 2.0, "5": 2 / 6}),
    # Artifacts
    Statement("log_artifact, log_artifacts", lambda seen: seen.artifacts(),
              [("a.txt", False), ("model.pkl", False), ("visualizations", True)]),
    Statement("artifact_path creates a subdirectory", lambda seen: seen.artifacts("visualizations"),
              [("visualizations/plot.png", False)]),
    # Model registry
    Statement("len(model.latest_versions)", lambda _: len(models.get("iris_classifier").latest), 2),
    Statement("get_model_version",
              lambda seen: models.get_version("iris_classifier", 1).run_id == seen.run_ids[0], True),
    Statement("transition_model_version_stage", lambda _: models.get_version("iris_classifier", 1).stage, "Production"),
    Statement("get_latest_versions of a stage",
              lambda _: [one.version for one in models.latest("iris_classifier", stages=["Production"])], [1]),
    Statement("get_latest_versions of a stage without any",
              lambda _: models.latest("iris_classifier", stages=["Staging"]), []),
    Statement("models:/iris_classifier/Production",
              lambda _: models.resolve("models:/iris_classifier/Production").version, 1),
    Statement("load_model", lambda _: pickle.loads(models.load("models:/iris_classifier/Production")),
              {"weights": [1, 2]}),
    Statement("download_artifacts",
              lambda seen: Path(artifacts.download(seen.run_ids[0], "model.pkl", "down")).read_bytes(),
              pickle.dumps({"weights": [1, 2]})),
    Statement("download_artifacts(run_id, '.')",
              lambda seen: Path(artifacts.download(seen.run_ids[0], ".", "all"), "model.pkl").is_file(), True),
    # Searching
    Statement("search_runs of an experiment", lambda seen: sorted(seen.search()),
              ["bad", "good", "other", "v1_baseline_lr0.001"]),
    Statement("filter, order_by and max_results",
              lambda seen: seen.search("metrics.accuracy >= 0.9", order_by=["metrics.accuracy DESC"], limit=2),
              ["good", "other"]),
    Statement("metrics.accuracy > 0.95",
              lambda seen: sorted(seen.search("metrics.accuracy > 0.95")), ["good", "other"]),
    Statement("params.learning_rate = 0.001", lambda seen: seen.search("params.learning_rate = 0.001"),
              ["v1_baseline_lr0.001"]),
    Statement("tags.status = 'completed'",
              lambda seen: seen.search("tags.status = 'completed'"), ["v1_baseline_lr0.001"]),
    Statement(FILTER, lambda seen: seen.search(FILTER), ["good"]),
    # Comparing
    Statement("parameters and metrics of two runs",
              lambda seen: [seen.compared(run_id) for run_id in seen.run_ids[1:3]],
              [("rf", 0.97), ("svm", 0.96)]),
    # Tags
    Statement("set_tag, set_tags", lambda seen: {name: seen.run.tags[name] for name in ("team", "author", "version")},
              {"team": "ml-research", "author": "alice", "version": "v1.0"}),
    # Debugging
    Statement("status FAILED", lambda seen: query.get_run(seen.run_ids[4]).state, "failed"),
    Statement("why it failed", lambda seen: query.get_run(seen.run_ids[4]).message, "ValueError: no data"),
    Statement("lifecycle_stage", lambda seen: query.get_run(seen.run_ids[4]).lifecycle_stage, "active"),
]  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS, ids=[one.part for one in STATEMENTS])
def test_what_seed_004_shows_is_possible(seen: Seen, statement: Statement) -> None:
    assert statement.look(seen) == statement.expected, f"{SEED}: {statement.part}"
