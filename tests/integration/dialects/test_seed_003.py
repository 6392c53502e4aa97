"""
What seed 003 says of `sapdi.tracking`, statement by statement, on real parts: checked in PostgreSQL and the run log.

The five example codes of the document run as they stand, after MENDS.
"""

from __future__ import annotations

import importlib
import inspect
import math
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from gateway.client.run import registry
from gateway.dialects.sap import Scenario, active
from gateway.dialects.sap.tracking import Notebook
from tests.support.dialect_stack import DialectStack
from tests.support.sap_program import Sap, forget_runs, install_sapdi

SEED = "003_9b16efa5c89cfa93.txt"
LOWEST, LARGEST = -1.7976931348623157e308, 1.7976931348623157e308
CACHE = 1_500_000  # bytes of the cache that the document speaks of
LONG_NAME = "n" * 256
WRONG_NUMBERS: list[Any] = ["0.5", True, None, [0.5], 1j, {}]
RECORD = len(LONG_NAME) + 8  # bytes of a name and a value
PARAMETERS = {
    "input_size": 784,
    "hidden_size": 500,
    "num_classes": 10,
    "num_epochs": 2,
    "batch_size": 100,
    "learning_rate": 0.001,
    "model_file": "model.ckpt",
}

ONE_METRIC = """
    from sapdi import tracking

    run = tracking.start_run()
    # tracking.start_run(run_collection_name='rc1') # Use this to group different runs under a collection

    params = {
        'input_size': 784,
        'hidden_size': 500,
        'num_classes': 10,
        'num_epochs': 2,
        'batch_size': 100,
        'learning_rate': 0.001,
        'model_file': 'model.ckpt'
    }

    tracking.log_parameters(params)


    # the experimental code.
    for i in range(params.get('num_epochs')):
        tracking.log_metric(name='metric_name', value=1)

    # more code
    tracking.set_tags({
        "tag_key": "tag_value",
        "tag_key_n": "tag_value_n"
      })
    tracking.set_labels({
        "accuracy": {
          "format_string": "percentage"
        }})

    # more code

    tracking.end_run()
    """
MANY_METRICS = """
    from sapdi import tracking

    run = tracking.start_run()

    metrics = {
        'accuracy': 0.89,
        'cross_entropy': 3.2,
        'avg_loss': 0.59
    }

    tracking.log_metrics(metrics)

    # more code

    # Mark the end of tracking
    tracking.end_run() # persists the metrics at the end of the run

    # Persisting metrics after the end
    tracking.log_metric('uncertainty', 0.4, run=run)

    # To Fetch payload from API for the current run
    runs = tracking.get_runs(run=run)

    # To Fetch metrics from API by tags(in addition with other parameters)
    runs = tracking.get_runs(run=run, tags = {'tag_key': 'tag_value'})
    **Note**: tag parameter is of type python dictionary, in which key is tag name and value is tag value

    # To Delete all payload for the current run
    tracking.delete_runs(run=run)

    # To Delete run for single/current scenario
    scenario_object = sapdi.get_current_scenario()
    tracking.delete_runs(scenario=scenario_object)

    # To Delete runs for multiple scenarios
    scenario_list = sapdi.list_scenarios()
    tracking.delete_runs(scenario=scenario_list)
    """
LABELS = """
    tracking.set_labels({
    "accuracy": {
    "format_string": "percentage"
    }
    “Label_n” : value_n
    })
    """
RUN_INFO = """
    # To set run_name or run_collection while starting run
    run = tracking.start_run(run_collection_name='Logistics Regression', run_name='LR_run_5')

    # more code

    # Update run_name or run_collection of current run
    tracking.update_run_info(run_collection_name='Logistics Regression2', run_name='LR_run_6')

    # more code

    tracking.end_run()

    # Update run_name or run_collection after run has ended
    tracking.update_run_info(run=run, run_collection_name='Logistics Regression3', run_name='LR_run_7')
    """
HISTORY = """
    from sapdi import tracking
    run = tracking.start_run()
    #logging metrics multiple times
    for i in range(10):
        tracking.log_metrics({
            'accuracy': 0.89,
            'cross_entropy': 3.2,
            'avg_loss': 0.59
        })

    tracking.persist_run()
    # Fetch metrics history(of accuracy & avg_loss) while run is active
    metric_history = tracking.get_metrics_history(metrics=['accuracy','avg_loss'])
    # Fetch history all metrics while run is active
    metric_history_all = tracking.get_metrics_history()
    # more code
    # Mark the end of tracking
    tracking.end_run() # persists the metrics at the end of the run
    # Persisting metrics after the end
    tracking.log_metric('uncertainty', 0.4, run=run)
    # To Fetch payload from API for the current run
    runs = tracking.get_runs(run=run)
    # Fetch metrics history(of accuracy & avg_loss) after run has ended
    metric_history = tracking.get_metrics_history(run=runs[0], metrics=['accuracy','avg_loss'])
    # Fetch history all metrics while run after run has ended
    metric_history_all = tracking.get_metrics_history(run=runs[0])
    """
# What the document writes that is no Python, and what stands there instead; each occurs once.
MENDS = {
    "    runs = tracking.get_runs(run=run, tags = {'tag_key': 'tag_value'})\n    **Note**": (
        "    runs = tracking.get_runs(run=run, tags = {'tag_key': 'tag_value'})\n    # **Note**"  # prose inside code
    ),
    "scenario_object = sapdi.": "import sapdi\n    scenario_object = sapdi.",  # nothing imports it
    '"percentage"\n    }\n    “Label_n”': '"percentage"\n    },\n    "Label_n"',  # a comma is missing, smart quotes
}

Check = Callable[[Sap], None]
CASES: list[Any] = []


def says(statement: str) -> Callable[[Check], Check]:
    """Add a case to the table: what the document says, and what checks it."""

    def add(check: Check) -> Check:
        CASES.append(pytest.param(check, id=f"{SEED}: {statement}"))
        return check

    return add


def example(code: str, **names: Any) -> dict[str, Any]:
    """Run an example code of the document, mended, and return its names."""
    for written, mended in MENDS.items():
        code = code.replace(written, mended)
    exec(compile(textwrap.dedent(code), SEED, "exec"), names)
    return names


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `sapdi`, as pip installs it."""
    return install_sapdi(tmp_path_factory.mktemp("site"))


@pytest.fixture
def sap(stack: DialectStack, site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sap]:
    """`sapdi` as a notebook called "abc" imports it."""
    for name in ("GATEWAY_URL", "GATEWAY_TOPIC", "GATEWAY_LIVE_URL", "GATEWAY_HOME", "GATEWAY_CAPTURE"):
        monkeypatch.setenv(name, stack.variables.get(name, ""))
    monkeypatch.setenv("GATEWAY_SAP_NOTEBOOK", "abc")
    monkeypatch.syspath_prepend(str(site))
    forget_runs(monkeypatch)
    yield Sap(importlib.import_module("sapdi"), stack, monkeypatch)
    for run in registry.unfinished_runs():
        if run not in registry.open_runs():
            run.finish()  # while there is a log: the end of the process would wait for it


def texts(values: dict[str, Any]) -> dict[str, Any]:
    """Return parameters without those of the system, in the form of the document: text."""
    return {name: str(value) for name, value in values.items() if name not in ("start", "end")}


# The example codes.


@says("example: log one metric at a time")
def runs_the_example_of_one_metric(sap: Sap) -> None:
    run = example(ONE_METRIC)["run"]
    log = sap.log(run)

    assert texts(log["parameters"]) == texts(PARAMETERS)
    assert set(log["parameters"]) - set(PARAMETERS) == {"start", "end"}
    assert log["steps"]["main"]["user_defined_metrics"] == {"metric_name": {"0": 1.0, "1": 1.0}}
    assert {key: log["tags"][key] for key in ("tag_key", "tag_key_n")} == {
        "tag_key": "tag_value",
        "tag_key_n": "tag_value_n",
    }
    assert log["labels"] == {"accuracy": {"format_string": "percentage"}}
    assert (log["status"], log["tag"], log["name"]) == ("SUCCESS", "abc", run.id)
    assert sap.points(run) == [("metric_name", 1.0)] * 2


@says("example: log multiple metrics, fetch and delete metrics")
def runs_the_example_of_many_metrics(sap: Sap) -> None:
    names = example(MANY_METRICS)

    assert names["runs"] == []  # no run has the tag
    assert sap.tracking.get_runs(run=names["run"]) == []
    assert sap.stack.rows("SELECT deleted FROM runs WHERE run_id = $1", names["run"].id) == [(True,)]
    assert sap.stack.rows("SELECT run_id FROM runs_overview WHERE run_id = $1", names["run"].id) == []


@says("example: log labels for a run")
def runs_the_example_of_labels(sap: Sap) -> None:
    run = sap.tracking.start_run()
    example(LABELS, tracking=sap.tracking, value_n=3)
    sap.tracking.end_run()

    assert sap.log(run)["labels"] == {"accuracy": {"format_string": "percentage"}, "Label_n": 3}


@says("example: set and update the run information")
def runs_the_example_of_run_info(sap: Sap) -> None:
    run = example(RUN_INFO, tracking=sap.tracking)["run"]

    assert (run.run_name, run.run_collection) == ("LR_run_5", "Logistics Regression")
    (found,) = sap.tracking.get_runs(run=run)
    assert (found.run_name, found.run_collection) == ("LR_run_7", "Logistics Regression3")
    assert sap.collections(run) == ["Logistics Regression3"]
    assert sap.log(run)["name"] == sap.stored("tags", run)["runName"] == "LR_run_7"


@says("example: get the metrics history")
def runs_the_example_of_history(sap: Sap) -> None:
    names = example(HISTORY)
    logged = {"accuracy": [0.89] * 10, "avg_loss": [0.59] * 10}

    def values(history: list[Any]) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for metric in history:
            found.setdefault(metric.name, []).append(metric.value)
        return found

    assert values(names["metric_history"]) == logged
    assert values(names["metric_history_all"]) == {**logged, "cross_entropy": [3.2] * 10, "uncertainty": [0.4]}
    assert names["runs"][0].metrics == {"accuracy": 0.89, "avg_loss": 0.59, "cross_entropy": 3.2, "uncertainty": 0.4}
    assert len(sap.points(names["run"])) == 31


# Runs and run collections.


@says("import the tracking module: from sapdi import tracking")
def is_imported_as_written(sap: Sap) -> None:
    code = (
        "from sapdi import tracking; import sapdi, sapdi.tracking; print(sapdi.tracking is tracking, *tracking.__all__)"
    )
    done = sap.run_python(code)

    assert done == f"True {' '.join(sap.tracking.__all__)}"


@says("run_collection_name and run_name: the default is None")
def defaults_are_none(sap: Sap) -> None:
    parameters = inspect.signature(sap.tracking.start_run).parameters

    assert {name: one.default for name, one in parameters.items()} == {"run_collection_name": None, "run_name": None}


@says("a default run collection for each source, named like it and shown with the suffix (Default)")
def default_collections_are_of_their_source(sap: Sap) -> None:
    notebook = sap.train()
    sap.patch.delenv("GATEWAY_SAP_NOTEBOOK")
    sap.patch.setenv("GATEWAY_SAP_PIPELINE", "nightly")
    pipeline = sap.train()

    assert sap.collections(notebook, pipeline) == ["abc", "nightly"]
    assert [one.run_collection for one in (notebook, pipeline)] == ["abc (Default)", "nightly (Default)"]
    (found,) = sap.tracking.get_runs(run=pipeline)
    assert (found.run_collection_name, found.run_collection) == ("nightly", "nightly (Default)")
    assert sap.stored("tags", notebook)["sapdi.run_collection"] == "abc (Default)"


@says("without a name for the run, the run ID is its name")
def the_id_is_the_name(sap: Sap) -> None:
    run = sap.train()

    assert run.run_name == sap.log(run)["name"] == sap.stored("tags", run)["runName"] == run.id


@says('example: the notebook "abc" and the run collection "RC1": in total, two run collections are created')
def two_collections_result(sap: Sap) -> None:
    runs = [*(sap.train("RC1") for _ in range(3)), *(sap.train() for _ in range(3))]

    assert sap.collections(*runs) == ["RC1", "abc"]
    assert {one.run_collection for one in sap.tracking.get_runs(run=runs)} == {"RC1", "abc (Default)"}


# Parameters.


@says("log_parameters: name and value are text, anything else is converted; the last value of a name is stored")
def parameters_are_text(sap: Sap) -> None:
    run = sap.tracking.start_run()
    sap.tracking.log_parameters({"lr": 0.1, "deep": True, 7: None, "name": "x"})
    sap.tracking.log_parameters("lr", 0.2)
    sap.tracking.log_parameters(name="layers", value=[64, 32])
    sap.tracking.end_run()

    logged = {"lr": "0.2", "deep": "True", "7": "None", "name": "x", "layers": "[64, 32]"}
    assert texts(sap.log(run)["parameters"]) == logged
    kinds = sap.stack.rows("SELECT DISTINCT value ->> 'type' FROM params WHERE run_id = $1", run.id)
    assert kinds == [("string",)]


@says("log_parameters: the system adds start and end, the times of the run; the names are case-sensitive and reserved")
def start_and_end_are_the_systems(sap: Sap) -> None:
    run = sap.tracking.start_run()
    for name in ("start", "end"):
        with pytest.raises(sap.tracking.TrackingError, match="written by the system"):
            sap.tracking.log_parameters({"lr": 0.1, name: "x"})
    sap.tracking.log_parameters({"Start": 1, "END": 2})
    sap.tracking.end_run()

    (found,) = sap.tracking.get_runs(run=run)
    assert texts(found.parameters) == {"Start": "1", "END": "2"}
    log = sap.log(run)
    start, end = (datetime.fromisoformat(found.parameters[name]) for name in ("start", "end"))
    started, ended = (datetime.fromisoformat(f"{log[name]}+00:00") for name in ("start_time", "end_time"))
    assert abs(start - started) < timedelta(seconds=5) > abs(end - ended)
    assert start <= end


# Metrics.


@says("log_metric: multiple values of one name are multiple records; names are case-sensitive; the value is numeric")
def every_value_is_kept(sap: Sap) -> None:
    run = sap.tracking.start_run()
    for value in (0.5, 1, Fraction(1, 4)):
        sap.tracking.log_metric("loss", value)
    sap.tracking.log_metric(name="Loss", value=7)
    for wrong in WRONG_NUMBERS:
        with pytest.raises(sap.tracking.TrackingError, match="is a number, not"):
            sap.tracking.log_metric("loss", wrong)
    sap.tracking.end_run()

    assert sap.points(run) == [("loss", 0.5), ("loss", 1.0), ("loss", 0.25), ("Loss", 7.0)]
    assert sap.log(run)["steps"]["main"]["user_defined_metrics"]["loss"] == {"0": 0.5, "1": 1.0, "2": 0.25}
    (found,) = sap.tracking.get_runs(run=run)
    assert found.metrics == {"Loss": 7.0, "loss": 0.25}


@says("log_metric after end_run: with the run object, with its ID, and with the context in which the run was started")
def metrics_follow_the_end(sap: Sap) -> None:
    run = sap.train(values=(0.5, 0.25))
    sap.tracking.log_metric("loss", 0.125, run=run)
    sap.tracking.log_metric("loss", 0.0625, run=run.id)
    assert len(sap.points(run)) == 4  # so that the other process counts from there
    sap.patch.setenv("GATEWAY_SAP_NOTEBOOK", "other")
    sap.patch.setenv("GATEWAY_SAP_SCENARIO", "other")
    line = f"tracking.log_metric('loss', 0.03125, run=tracking.Run(id='{run.id}'))"
    sap.run_python(f"from sapdi import tracking; {line}")

    history = sap.tracking.get_metrics_history(run=run)
    assert [(one.step, one.value) for one in history] == [(at, 0.5 / 2**at) for at in range(5)]
    (found,) = sap.tracking.get_runs(run=run)
    assert found.context == {"notebook": "abc", "scenario": "default"}
    assert (sap.log(run)["status"], sap.collections(run)) == ("SUCCESS", ["abc"])


@says("log_metrics: a list of items with the parameters of log_metric, several of one name")
def lists_of_metrics(sap: Sap) -> None:
    ended = sap.train()
    run = sap.tracking.start_run()
    items = [{"name": "loss", "value": 0.5}, {"name": "loss", "value": 0.25}, {"name": "acc", "value": 1, "run": ended}]
    sap.tracking.log_metrics(items)
    sap.tracking.end_run()

    assert sap.points(run) == [("loss", 0.5), ("loss", 0.25)]
    assert sap.points(ended) == [("acc", 1.0)]


@says("persist_run: metrics and parameters are persisted explicitly, while the run is active")
def persisting_makes_readable(sap: Sap) -> None:
    run = sap.tracking.start_run()
    for round_ in range(3):
        sap.tracking.log_metric("loss", round_)
        sap.tracking.log_parameters({"round": round_})
        assert sap.tracking.persist_run()

        stored = sap.stack.rows("SELECT count(*) FROM metric_points WHERE run_id = $1", run.id)
        rounds = sap.stack.rows("SELECT value ->> 'value' FROM params WHERE run_id = $1 AND name = 'round'", run.id)
        assert (stored, rounds) == ([(round_ + 1,)], [(str(round_),)])
    sap.tracking.end_run()


@says("metrics are persisted at the end of the run")
def the_end_persists(sap: Sap) -> None:
    run = sap.train(values=(1.0, 2.0))

    sap.until_points(run, 2)


# Tags and labels.


@says("set_tags: text by text, case-sensitive, filters runs, the last value of a key is stored; runName is reserved")
def tags_filter(sap: Sap) -> None:
    run = sap.tracking.start_run(run_name="named")
    sap.tracking.set_tags({"team": "red", "it's `q`": "o'clock", "empty": ""})
    sap.tracking.set_tags({"team": "blue"})
    for tags in ({"x": "y", "runName": "z"}, {"x": 1}, {1: "x"}, {"": "x"}, {"sapdi.notebook": "x"}, "x", None):
        with pytest.raises(sap.tracking.TrackingError):
            sap.tracking.set_tags(tags)
    sap.tracking.set_tags({"runname": "mine"})
    sap.tracking.end_run()

    tags = {"team": "blue", "it's `q`": "o'clock", "empty": "", "runname": "mine", "runName": "named"}
    for wanted in [tags, *({key: value} for key, value in tags.items())]:
        assert [one.tags for one in sap.tracking.get_runs(run=run, tags=wanted)] == [tags]
    for missed in ({"team": "red"}, {"Team": "blue"}, {"team": "Blue"}, {"team": "blue", "x": "y"}):
        assert sap.tracking.get_runs(run=run, tags=missed) == []
    assert {key: tag for key, tag in sap.stored("tags", run).items() if not key.startswith("sapdi.")} == tags
    assert sap.log(run)["tags"].items() >= tags.items()


@says("set_labels: case-sensitive keys of any values, no filter finds them, the last value of a key is stored")
def labels_do_not_filter(sap: Sap) -> None:
    run = sap.tracking.start_run()
    sap.tracking.set_labels({"accuracy": {"format_string": "percentage"}, "Accuracy": [1, None], "unit": "m"})
    sap.tracking.set_labels({"unit": "km"})
    sap.tracking.end_run()

    (found,) = sap.tracking.get_runs(run=run)
    assert found.labels == {"accuracy": {"format_string": "percentage"}, "Accuracy": [1, None], "unit": "km"}
    assert found.labels == sap.log(run)["labels"]
    assert sap.tracking.get_runs(run=run, tags={"unit": "km"}) == []
    assert set(sap.stored("run_labels", run)) == {"accuracy", "Accuracy", "unit"}


# Finding and deleting.


def selected(sap: Sap) -> dict[str, Any]:
    """Return ended runs by name: of two notebooks and two executions of a pipeline, in scenarios of this case."""
    found, mark = {}, uuid.uuid4().hex[:8]
    for name, variables in {
        "n1": {"SCENARIO": f"s1-{mark}", "NOTEBOOK": "n1"},
        "n2": {"SCENARIO": f"s1-{mark}", "SCENARIO_VERSION": "2", "NOTEBOOK": "n2"},
        "p1": {"SCENARIO": f"s2-{mark}", "PIPELINE": f"p-{mark}", "EXECUTION": f"e1-{mark}", "NOTEBOOK": ""},
        "p2": {"SCENARIO": f"s3-{mark}", "PIPELINE": f"p-{mark}", "EXECUTION": f"e2-{mark}", "NOTEBOOK": ""},
    }.items():
        for variable, value in {"SCENARIO_VERSION": "", "PIPELINE": "", "EXECUTION": "", **variables}.items():
            sap.patch.setenv(f"GATEWAY_SAP_{variable}", value)
        found[name] = sap.train()
    return {**found, "mark": mark}


# Selectors of the runs of `selected`, and those that they choose.
CHOICES: list[tuple[Callable[[dict[str, Any]], dict[str, Any]], set[str]]] = [
    (lambda runs: {"run": runs["n1"]}, {"n1"}),
    (lambda runs: {"run": type(runs["n1"])(id=runs["n1"].id)}, {"n1"}),
    (lambda runs: {"run": f"{runs['n1'].id},{runs['p1'].id}"}, {"n1", "p1"}),
    (lambda runs: {"run": [runs["n1"], runs["p2"].id]}, {"n1", "p2"}),
    (lambda runs: {"scenario": f"s1-{runs['mark']}"}, {"n1", "n2"}),
    (lambda runs: {"scenario": f"s1-{runs['mark']}", "scenario_version": 2}, {"n2"}),
    (lambda runs: {"scenario": Scenario(f"s2-{runs['mark']}")}, {"p1"}),
    (lambda runs: {"scenario": "s1-{0},s2-{0}, s3-{0}".format(runs["mark"])}, {"n1", "n2", "p1", "p2"}),
    (lambda runs: {"pipeline": f"p-{runs['mark']}"}, {"p1", "p2"}),
    (lambda runs: {"pipeline": f"p-{runs['mark']}", "execution": f"e2-{runs['mark']}"}, {"p2"}),
    (lambda runs: {"execution": [f"e1-{runs['mark']}", f"e2-{runs['mark']}"]}, {"p1", "p2"}),
    (lambda runs: {"notebook": Notebook(id="n1"), "scenario": f"s1-{runs['mark']}"}, {"n1"}),
    (lambda runs: {"notebook": Notebook(id="n1"), "run": runs["n2"]}, set()),
    (lambda _: {"run": "nothing"}, set()),
    (lambda _: {"scenario": []}, set()),
]


WRONG_SELECTORS: list[tuple[dict[str, Any], str]] = [
    ({}, "give one or more of scenario"),
    ({"notebook": "abc"}, "needs scenario or run"),
    ({"notebook": "abc", "pipeline": "p"}, "needs scenario or run"),
    ({"run": ""}, "names no id"),
    ({"run": " , "}, "names no id"),
    ({"run": 1.5}, "is an id, an object with an id or a list"),
    ({"run": b"x"}, "is an id, an object with an id or a list"),
    ({"run": True}, "is an id, an object with an id or a list"),
    ({"run": "a\x00b"}, "U\\+0000"),
]


@says("get_runs: one or more of scenario, scenario_version, pipeline, execution, notebook, run")
def runs_are_found(sap: Sap) -> None:
    runs = selected(sap)
    names = {runs[name].id: name for name in ("n1", "n2", "p1", "p2")}

    found = [{names[one.id] for one in sap.tracking.get_runs(**choose(runs))} for choose, _ in CHOICES]
    assert found == [wanted for _, wanted in CHOICES]
    for chosen, why in [*WRONG_SELECTORS, ({"tags": {"a": "b"}}, "give one or more of scenario")]:
        with pytest.raises(sap.tracking.TrackingError, match=why):
            sap.tracking.get_runs(**chosen)


@says("get_runs: returns the two parameters and the tag of the system, also of a run that nothing was logged to")
def the_systems_entries_are_there(sap: Sap) -> None:
    run = sap.train()
    (found,) = sap.tracking.get_runs(run=run)

    assert (set(found.parameters), found.tags) == ({"start", "end"}, {"runName": run.id})
    assert set(sap.stored("params", run)) == {"start", "end"}


@says("delete_runs: one or more of scenario, scenario_version, pipeline, execution, notebook, run")
def runs_are_deleted(sap: Sap) -> None:
    for choose, wanted in CHOICES[1::3]:  # one of each kind: every case needs runs of its own
        runs = selected(sap)
        names = {runs[name].id: name for name in ("n1", "n2", "p1", "p2")}
        gone = sap.tracking.delete_runs(**choose(runs))

        assert {names[one] for one in gone} == wanted
        active.until_readable()
        kept = sap.stack.rows("SELECT run_id FROM existing_runs WHERE run_id = ANY($1)", list(names))
        assert {names[one] for (one,) in kept} == set(names.values()) - wanted


@says("delete_runs: several scenarios in bulk, and then no other parameter can be specified")
def bulk_is_exclusive(sap: Sap) -> None:
    runs = selected(sap)
    mark = runs["mark"]
    for chosen, why in [
        *WRONG_SELECTORS,
        ({"scenario": f"s1-{mark},s2-{mark}", "pipeline": f"p-{mark}"}, "several scenarios takes no other selector"),
        ({"scenario": [f"s1-{mark}", f"s2-{mark}"], "run": runs["n1"]}, "several scenarios takes no other selector"),
    ]:
        with pytest.raises(sap.tracking.TrackingError, match=why):
            sap.tracking.delete_runs(**chosen)
    assert len(sap.tracking.get_runs(scenario=f"s1-{mark},s2-{mark},s3-{mark}")) == 4
    listed = sap.sapdi.list_scenarios()
    scenarios = [one for one in listed if mark in one.id]
    for name, value in {"scenarios.RUNS_AT_ONCE": 1, "selection.MAX_OTHERS": 150, "reading.RUNS_AT_ONCE": 1}.items():
        sap.patch.setattr(f"gateway.dialects.sap.{name}", value)

    assert sap.sapdi.list_scenarios() == listed
    assert [one.id for one in scenarios] == [f"s1-{mark}", f"s2-{mark}", f"s3-{mark}"]
    assert len(sap.tracking.delete_runs(scenario=scenarios)) == 4
    assert not [one for one in sap.sapdi.list_scenarios() if mark in one.id and one != sap.sapdi.get_current_scenario()]


# Histories and changes.


@says("get_metrics_history: without metrics all of them, without run the active one")
def histories_are_read(sap: Sap) -> None:
    with pytest.raises(sap.tracking.TrackingError, match="no run is active"):
        sap.tracking.get_metrics_history()
    sap.tracking.start_run()
    assert sap.tracking.get_metrics_history() == []
    sap.tracking.log_metrics({"a": 1, "b": 2})
    sap.tracking.log_metric("a", 3)

    assert [(one.name, one.value) for one in sap.tracking.get_metrics_history()] == [("a", 1.0), ("a", 3.0), ("b", 2.0)]
    assert [one.value for one in sap.tracking.get_metrics_history(metrics=["b", "absent"])] == [2.0]
    sap.tracking.end_run()


@says("update_run_info: run name, run collection and tags, of the active run, or after the end with the run")
def runs_are_updated(sap: Sap) -> None:
    run = sap.tracking.start_run()
    sap.tracking.update_run_info(run_name="first", tags={"a": "1"})
    sap.tracking.update_run_info(run_collection_name="RC 2")
    (found,) = sap.tracking.get_runs(run=run)
    assert (found.run_name, found.run_collection, found.tags) == ("first", "RC 2", {"a": "1", "runName": "first"})
    sap.tracking.end_run()
    sap.tracking.update_run_info(run, "second", "RC 3", {"a": "2", "b": "3"})
    line = f"tracking.update_run_info(tracking.Run(id='{run.id}'), run_collection_name='RC 4', tags={{'b': '4'}})"
    sap.run_python(f"from sapdi import tracking; {line}")

    (found,) = sap.tracking.get_runs(run=run)
    assert (found.run_name, found.run_collection) == ("second", "RC 4")
    assert found.tags == {"a": "2", "b": "4", "runName": "second"}
    assert (sap.collections(run), sap.log(run)["name"]) == (["RC 4"], "second")
    wrongs: list[dict[str, Any]] = [
        {},
        {"run_name": ""},
        {"run_name": 1},
        {"tags": {"runName": "x"}},
        {"run_collection_name": "x" * 2_000},
    ]
    for wrong in wrongs:
        with pytest.raises(sap.tracking.TrackingError):
            sap.tracking.update_run_info(run, **wrong)


@pytest.mark.parametrize("check", CASES)
def test_the_document_holds(check: Check, sap: Sap) -> None:
    check(sap)


# Each limit at the bound, one over, far over.


def numbers(sap: Sap, value: Any) -> None:
    sap.tracking.log_metric("loss", value)


LIMITS: list[tuple[str, Callable[[Sap, Any], None], list[Any], list[Any]]] = [
    (
        "name of a parameter: 256 characters",
        lambda sap, size: sap.tracking.log_parameters({"lr": 1, "é" * size: 2}),
        [1, 255, 256],
        [257, 5_000, 10_000_000],
    ),
    (
        "value of a parameter: 5,000 characters",
        lambda sap, size: sap.tracking.log_parameters({"lr": 1, "text": "🦆" * size}),
        [0, 4_999, 5_000],
        [5_001, 50_000, 10_000_000],
    ),
    (
        "name of a metric: 256 characters",
        lambda sap, size: sap.tracking.log_metrics({"loss": 1, "n" * size: 2}),
        [1, 255, 256],
        [257, 5_000, 10_000_000],
    ),
    (
        "value of a metric: ±1.7976931348623157E308",
        lambda sap, value: sap.tracking.log_metrics([{"name": "a", "value": 1}, {"name": "b", "value": value}]),
        [LOWEST, LARGEST, -1.0, -2.2250738585072014e-308, 5e-324, int(LARGEST), 0],
        [int(LARGEST) + 2**970, -int(LARGEST) - 2**970, math.inf, -math.inf, math.nan, 10**400, Decimal("1e309")],
    ),
]


@pytest.mark.parametrize(("try_it", "good", "bad"), [pytest.param(*one, id=f"{SEED}: {name}") for name, *one in LIMITS])
def test_a_limit_holds(sap: Sap, try_it: Callable[[Sap, Any], None], good: list[Any], bad: list[Any]) -> None:
    run = sap.tracking.start_run()
    for one in bad:
        with pytest.raises(sap.tracking.TrackingError, match=r"may have|must be between"):
            try_it(sap, one)
    before = len(sap.points(run)) + len(sap.stored("params", run))
    after = []
    for one in good:
        try_it(sap, one)
        after.append(len(sap.points(run)) + len(sap.stored("params", run)))
    sap.tracking.end_run()

    assert before == 1  # `start`: a call with one wrong entry logs none of them
    assert after == sorted(after)
    assert after[0] == before + 2


@pytest.mark.parametrize("values", [999, 1_000, 1_001, 4_000])
def test_a_history_has_the_last_thousand_values(sap: Sap, values: int) -> None:
    run = sap.train(values=range(values))
    sap.tracking.log_metric("other", 1, run=run)

    history = sap.tracking.get_metrics_history(run=run)
    loss = [one.value for one in history if one.name == "loss"]
    assert loss == list(range(max(0, values - 1_000), values))
    assert len(history) == len(loss) + 1
    assert len(sap.points(run)) == values + 1  # nothing is cut in PostgreSQL


@pytest.mark.parametrize("records", [CACHE // RECORD, CACHE // RECORD + 1, 10 * CACHE // RECORD])
def test_what_exceeds_the_cache_is_persisted_while_the_run_is_active(sap: Sap, records: int) -> None:
    run = sap.tracking.start_run()
    for at in range(records):
        sap.tracking.log_metric(LONG_NAME, at)

    sap.until_points(run, records)  # nothing asks for it
    assert sap.stack.rows("SELECT state FROM runs WHERE run_id = $1", run.id) == [("running",)]
    sap.tracking.end_run()


# Bad input.


def test_calls_without_an_active_run_are_one_clear_error(sap: Sap) -> None:
    track = sap.tracking
    sap.train()
    for call in (
        track.end_run, track.persist_run, lambda: track.log_parameters({"a": 1}), lambda: track.log_metric("a", 1),
        lambda: track.log_metrics({"a": 1}), lambda: track.set_tags({"a": "b"}), lambda: track.set_labels({"a": 1}),
        lambda: track.update_run_info(run_name="x"), track.get_metrics_history,
    ):  # fmt: skip
        with pytest.raises(track.TrackingError, match=r"no run is active: call tracking.start_run\(\) first"):
            call()


def test_a_run_that_is_not_there_is_refused_and_nothing_is_made_of_it(
    sap: Sap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active, "LOOKUP_S", 0.0)
    gone = sap.train()
    sap.tracking.delete_runs(run=gone)
    odd = sap.tracking.Run(id="é/ü,'")
    refused: list[tuple[Any, str]] = [("nothing", "no run 'nothing'"), (gone, "was deleted"), (odd, "no run")]
    for run, why in [*refused, ("", "empty"), (7, "is text")]:
        with pytest.raises(sap.tracking.TrackingError, match=why):
            sap.tracking.log_metric("a", 1, run=run)
        with pytest.raises(sap.tracking.TrackingError, match=why):
            sap.tracking.update_run_info(run, run_name="x")
    with pytest.raises(sap.tracking.TrackingError, match="no run 'nothing'"):
        sap.tracking.get_metrics_history(run="nothing")
    assert sap.stack.rows("SELECT run_id FROM existing_runs WHERE run_id = 'nothing'") == []


def test_the_active_run_is_not_deleted(sap: Sap) -> None:
    run, ended = sap.tracking.start_run(), None
    for chosen in ({"run": run}, {"scenario": sap.sapdi.get_current_scenario()}):
        with pytest.raises(sap.tracking.TrackingError, match=r"is active.*end_run\(\) first; nothing was deleted"):
            sap.tracking.delete_runs(**chosen)
    ended = sap.tracking.end_run()

    assert ended is None
    assert sap.tracking.delete_runs(run=run) == [run.id]
    assert sap.tracking.delete_runs(run=run) == []


def test_many_runs_in_one_process_do_not_hold_their_files(sap: Sap, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_files() -> int:
        links = [str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
        return sum(run.id in link for link in links for run in runs)

    monkeypatch.setattr(active, "MAX_WRITERS", 2)
    monkeypatch.setattr(active, "MAX_UNREAD", 4)
    runs: list[Any] = []
    for value in range(20):
        runs.append(sap.train(values=[value]))
        sap.tracking.log_metric("late", value, run=runs[-1])

    assert open_files() <= 4 * 5  # five files of each run that is remembered
    found = sap.tracking.get_runs(run=runs)
    assert [one.metrics for one in reversed(found)] == [{"late": value, "loss": value} for value in range(20)]
    sap.tracking.log_metric("late", 7, run=runs[0])
    assert sap.points(runs[0]) == [("loss", 0.0), ("late", 0.0), ("late", 7.0)]
    assert [one.step for one in sap.tracking.get_metrics_history(runs[0], "late")] == [0, 1]


def test_threads_have_runs_of_their_own_and_share_that_of_the_main_thread(sap: Sap) -> None:
    def train(number: int) -> None:
        runs[number] = sap.train(f"RC {number}", values=range(50))

    def share(number: int) -> None:
        for value in range(50):
            sap.tracking.log_metric(f"shared {number}", value)

    runs: dict[int, Any] = {}
    main = sap.tracking.start_run()
    threads = [threading.Thread(target=work, args=(at,)) for at in range(4) for work in (train, share)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sap.tracking.end_run()

    assert [sap.points(runs[at]) for at in range(4)] == [[("loss", float(value)) for value in range(50)]] * 4
    shared = sap.points(main)
    assert sorted(shared) == [(f"shared {at}", float(value)) for at in range(4) for value in range(50)]


def test_a_forked_child_logs_to_the_run_and_does_not_end_it(sap: Sap) -> None:
    code = """
        import os
        from sapdi import tracking

        run = tracking.start_run()
        tracking.log_metric("parent", 1)
        child = os.fork()
        if child == 0:
            tracking.log_metric("child", 2)
            tracking.end_run()
            os._exit(0)
        os.waitpid(child, 0)
        tracking.log_metric("parent", 3)
        print(run.id, *[one.state for one in tracking.get_runs(run=run)])
        tracking.end_run()
        """
    run_id, state = sap.run_python(textwrap.dedent(code)).split()

    assert state == "running"
    sap.until_points(sap.tracking.Run(run_id), 3)  # the child's are its own to wait for
    assert sap.points(sap.tracking.Run(run_id)) == [("parent", 1.0), ("child", 2.0), ("parent", 3.0)]
    (found,) = sap.tracking.get_runs(run=run_id)
    assert (found.state, set(found.parameters)) == ("finished", {"start", "end"})


def test_names_in_any_script_come_back_as_they_were(sap: Sap) -> None:
    odd = "дом 🦆 'a' \"b\" `c` {d=e}/f\\n\n\t%_"
    sap.patch.setenv("GATEWAY_SAP_SCENARIO", odd)
    run = sap.tracking.start_run(odd, odd)
    sap.tracking.log_parameters({odd: odd})
    sap.tracking.log_metric(odd, 0.5)
    sap.tracking.set_tags({odd: odd})
    sap.tracking.set_labels({odd: {odd: odd}})
    sap.tracking.end_run()

    (found,) = sap.tracking.get_runs(scenario=sap.sapdi.get_current_scenario(), run=run, tags={odd: odd})
    assert (found.run_name, found.run_collection) == (odd, odd)
    assert (texts(found.parameters), found.metrics, found.labels) == ({odd: odd}, {odd: 0.5}, {odd: {odd: odd}})
    assert found.tags == {odd: odd, "runName": odd}
    assert [one.value for one in sap.tracking.get_metrics_history(run, odd)] == [0.5]
    assert sap.tracking.delete_runs(scenario=sap.sapdi.get_current_scenario()) == [run.id]
