"""Logged models, by MLflow's own client: the door answers what a stock server answers."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from typing import Any

import pytest

from tests.support.mlflow_door import MlflowDoor
from tests.support.mlflow_pair import Pair, Side
from tests.support.mlflow_service import MlflowServer

OF = "logged-models"
FILTERS = [
    "name = 'two'", "name != 'two' AND name IN ('one', 'two')", "name NOT IN ('one')", "name LIKE 't%'", "name = two",
    "name ILIKE 'T%'", "name LIKE 't\\%'", "name LIKE 't\\'",
    'name = "two"', "attributes.name = 'two'", "name = 'two' AND", "model_id = '$two'",
    "experiment_id = '$home'", "source_run_id = ''", "model_type = 'tree'", "status = '1'", "status = 'READY'",
    "status IN ('2', '3')", "params.depth = '3'", "params.depth = 3", "params.depth != '3'", "params.`depth` LIKE '%'",
    "params.depth IN ('3', '4')", "tags.team = 'it''s'", "tags.`a b` ILIKE 'C'", "tags.none != 'x'",
    "creation_timestamp > 0", "creation_time < 5", "last_updated_timestamp >= 5", "params.depth = '3' AND tags.k = '1'",
]  # fmt: skip
ORDERS: list[list[dict[str, Any]]] = [
    [{"field_name": "name"}], [{"field_name": "name", "ascending": False}], [{"field_name": "creation_timestamp"}],
    [{"field_name": "status"}, {"field_name": "name"}], [{"field_name": "last_updated_timestamp", "ascending": False}],
    [{"field_name": "metrics.none"}, {"field_name": "model_type"}],
]  # fmt: skip
BAD_MODELS: list[dict[str, Any]] = [
    {"name": "a.b"}, {"name": "a/b"}, {"name": 5}, {"params": "x"}, {"model_type": 5},
    {"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
    {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
]  # fmt: skip
BAD_SEARCHES: list[dict[str, Any]] = [
    {"filter": "name"}, {"filter": "name = 'a' OR name = 'b'"}, {"filter": "name > 'a'"}, {"filter": "a IS NULL"},
    {"filter": "metrics.a LIKE 'x'"}, {"filter": "foo.bar = 'x'"}, {"filter": "a; b"}, {"filter": 5},
    {"datasets": [{"dataset_digest": "1"}]}, {"order_by": [{"field_name": "params.a"}]}, {"order_by": [{}]},
    {"order_by": [{"field_name": "none"}]}, {"order_by": "name"}, {"max_results": "x"}, {"page_token": 5},
]  # fmt: skip
REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "", {}),
    *(("POST", "", {"experiment_id": "$home", **given}) for given in BAD_MODELS),
    ("POST", "", {"experiment_id": "77"}),
    ("POST", "", {"experiment_id": "abc"}),
    ("POST", "", {"experiment_id": 5}),
    ("GET", "/m-none", {}),
    ("DELETE", "/m-none", {}),
    ("DELETE", "/m-none/tags/x", {}),
    ("DELETE", "/$one/tags/none", {}),
    ("PATCH", "/m-none/tags", {"tags": []}),
    ("PATCH", "/$one/tags", {"tags": "x"}),
    ("PATCH", "/$one", {"status": 2}),
    ("PATCH", "/$one", {"model_id": "$one"}),
    ("PATCH", "/$one", {"model_id": "m-none", "status": 2}),
    ("POST", "/$one/params", {"params": []}),
    ("POST", "/m-none/params", {"model_id": "m-none", "params": []}),
    ("POST", "/$one/params", {"model_id": "$one", "params": [{"key": "depth", "value": "3"}]}),
    ("GET", "/m-none/artifacts/directories", {}),
    ("GET", "/$one/artifacts/directories", {"artifact_directory_path": "../x"}),
    ("POST", "/search", {}),
    *(("POST", "/search", {"experiment_ids": ["$home"], **given}) for given in BAD_SEARCHES),
    ("POST", "/search", {"experiment_ids": ["abc"]}),
    ("POST", "/search", {"experiment_ids": "x"}),
]  # fmt: skip
TREE = {"dataset": {"name": "tree", "digest": "1", "source_type": "s", "source": "x", "schema": "{}", "profile": "p"}}
LINKS_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("log-inputs", {"datasets": []}),
    ("log-inputs", {"run_id": "none", "datasets": []}),
    ("log-inputs", {"run_id": "a/../b", "datasets": []}),
    ("log-inputs", {"run_id": "$run", "datasets": "x"}),
    ("log-inputs", {"run_id": "$run", "models": "x"}),
    *(("log-inputs", {"run_id": "$run", "datasets": [{"dataset": {**TREE["dataset"], field: "x" * size}}]})
      for field, size in (("name", 501), ("digest", 37), ("source", 65_536), ("schema", 1_048_576))),
    *(("log-inputs", {"run_id": "$run", "datasets": [{**TREE, "tags": [{"key": "k" * key, "value": "v" * value}]}]})
      for key, value in ((256, 1), (1, 501))),
    ("outputs", {"run_id": "$run"}),
    ("outputs", {"run_id": "$run", "models": "x"}),
    ("outputs", {"run_id": "a" * 32, "models": [{"model_id": "$one"}]}),
    ("outputs", {"run_id": "$run", "models": [{"model_id": "$one", "step": 4}]}),
    ("log-metric", {"run_id": "$run", "key": "a", "value": 1, "timestamp": 1, "model_id": "m-none"}),
    ("log-batch", {"run_id": "$run", "metrics": [{"key": "a", "value": 1, "timestamp": 1, "model_id": "m-none"}]}),
]  # fmt: skip
FAILING: list[dict[str, Any]] = [  # 500 in MLflow, which clients repeat for minutes
    {"filter": "foo = 'x'"}, {"filter": "metrics.a > 'x'"}, {"page_token": "xx"}, {"order_by": [{"field_name": "tags"}]}
]  # fmt: skip


FLUENT = """
import json, sys
import mlflow, pandas
from mlflow.entities import LoggedModelInput, LoggedModelOutput

def use(url):
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("fluent models")
    data = mlflow.data.from_pandas(pandas.DataFrame({"x": [1, 2]}), name="rows")
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model(name="fluent", params={"depth": 3}, tags={"a": "b"}, model_type="tree")
        mlflow.log_model_params({"seed": "1"}, model_id=model.model_id)
        mlflow.set_logged_model_tags(model.model_id, {"x": "y"})
        mlflow.delete_logged_model_tag(model.model_id, "a")
        mlflow.finalize_logged_model(model.model_id, "READY")
        mlflow.log_input(data, context="train", model=LoggedModelInput(model.model_id))
        mlflow.log_metric("acc", 0.5, step=1, model_id=model.model_id, dataset=data)
        mlflow.log_metrics({"f1": 0.75}, step=2, model_id=model.model_id)
        mlflow.log_outputs(models=[LoggedModelOutput(model.model_id, 3)])
        mlflow.initialize_logged_model(name="second")
    mlflow.clear_active_model()
    table = mlflow.search_logged_models(order_by=[{"field_name": "metrics.acc"}])
    found = mlflow.search_logged_models(filter_string="metrics.f1 > 0.7 AND params.depth = '3'", output_format="list")
    shown, run = mlflow.get_logged_model(model.model_id), mlflow.get_run(run.info.run_id)
    mlflow.MlflowClient().delete_logged_model(model.model_id)
    return [
        sorted(table), list(table["name"]), [one.name for one in found], shown.params, shown.status, shown.model_type,
        {key: text for key, text in shown.tags.items() if not key.startswith("mlflow.")}, run.data.metrics,
        [(one.key, one.value, one.step, one.dataset_name, one.dataset_digest) for one in shown.metrics],
        [one.to_dictionary() for one in run.inputs.dataset_inputs], len(run.inputs.model_inputs),
        [one.step for one in run.outputs.model_outputs], shown.source_run_id == run.info.run_id,
        mlflow.last_logged_model().name, [one.name for one in mlflow.search_logged_models(output_format="list")],
    ]

print(json.dumps([use(url) for url in sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def pair(stock: MlflowServer, door: MlflowDoor) -> Pair:
    """Both servers, with an experiment "home" that has the models one, two and three."""
    made = Pair(stock.url, door.url)
    made.same("create_experiment", uuid.uuid4().hex, keep="home")
    create(made, "one", params={"depth": "3", "empty": ""}, tags={"team": "it's", "k": "1"})
    create(made, "two", model_type="tree", params={"depth": "4"}, tags={"a b": "c"})
    create(made, "three")
    for side in (made.stock, made.door):
        side.ids["run"] = side.client.create_run(side.ids["home"]).info.run_id
    return made


def create(pair: Pair, name: str, home: str = "home", **given: Any) -> None:
    """Create a model with both clients; its name is the name of its id too."""
    for side in (pair.stock, pair.door):
        side.ids[name] = side.client.create_logged_model(side.ids[home], name=name, **given).model_id
    pair.same("get_logged_model", f"${name}")


def test_the_life_of_logged_models_is_that_of_a_stock_server(pair: Pair) -> None:
    """One test: its parts follow from each other."""
    check_changes(pair)
    check_searches(pair)
    pair.same("delete_logged_model", "$two")
    pair.same("delete_logged_model", "$two")
    pair.same("get_logged_model", "$two")
    assert pair.same_wire("GET", f"{OF}/$two", allow_deleted="true")[0] == 200
    assert len(pair.same("search_logged_models", ["$home"])["rows"]) == 2
    pair.same_wire("PATCH", f"{OF}/$two/tags", tags=[{"key": "late", "value": "1"}])
    pair.same_wire("PATCH", f"{OF}/$two", model_id="$two", status=2)


def check_changes(pair: Pair) -> None:
    pair.same("finalize_logged_model", "$one", "READY")
    pair.same("finalize_logged_model", "$two", "FAILED")
    for status in (0, 7, "LOGGED_MODEL_PENDING"):
        assert pair.same_wire("PATCH", f"{OF}/$three", model_id="$three", status=status)[0] == 200
    pair.same("set_logged_model_tags", "$one", {"team": "b", "new": ""})
    pair.same("set_logged_model_tags", "$one", {})
    pair.same("delete_logged_model_tag", "$one", "new")
    pair.same("set_logged_model_tags", "$one", {"team": "it's"})
    pair.same("log_model_params", "$one", {"seed": "7"})
    pair.same_wire("POST", f"{OF}/$one/params", model_id="$one")
    pair.same_wire("GET", f"{OF}/$one/artifacts/directories")
    shown = pair.same("get_logged_model", "$one")
    assert (shown["status"], shown["params"]["seed"]) == ("READY", "7")


def check_searches(pair: Pair) -> None:
    for text in FILTERS:
        pair.same("search_logged_models", ["$home"], filter_string=text)
    for order in ORDERS:
        pair.same("search_logged_models", ["$home"], order_by=order)
    assert pair.same("search_logged_models", ["$home", "77"])["rows"]
    assert pair.same_wire("POST", f"{OF}/search", experiment_ids=[]) == (200, {})
    for side in (pair.stock, pair.door):
        found, token = list[str](), None
        while not found or token:
            page = side.client.search_logged_models([side.ids["home"]], max_results=1, page_token=token)
            found += [one.name for one in page]
            token = page.token
        assert found == ["three", "two", "one"]
        side.ids["token"] = side.client.search_logged_models([side.ids["home"]], max_results=1).token
    for changed in ({"filter": "name = 'x'"}, {"order_by": [{"field_name": "name"}]}, {"experiment_ids": ["0"]}):
        given = {"experiment_ids": ["$home"], "page_token": "$token", **changed}
        assert pair.same_wire("POST", f"{OF}/search", **given) == (400, "INVALID_PARAMETER_VALUE")


def test_metrics_of_a_run_that_name_a_model_are_points_of_both(pair: Pair) -> None:
    pair.same("create_experiment", uuid.uuid4().hex, keep="lab")
    create(pair, "unmeasured", "lab")
    create(pair, "measured", "lab")
    of = {"model_id": "$measured"}
    on = {"dataset_name": "d", "dataset_digest": "1"}
    points: list[tuple[float, int, dict[str, str]]] = [
        (0.5, 1, of | on), (0.75, 2, of), (float("nan"), 3, of), (float("inf"), 4, of), (float("-inf"), 5, of),
        (0.1, 6, {}),
    ]  # fmt: skip
    for value, step, about in points:
        pair.same("log_metric", "$run", "acc", value, 7, step, **about)
    batch = [
        {"key": "acc", "value": 0.25, "timestamp": 1, "step": 9, **of | on},
        {"key": "f", "value": 1, "timestamp": 1},
    ]
    pair.same_wire("POST", "runs/log-batch", run_id="$run", metrics=batch)

    model = pair.same("get_logged_model", "$measured")
    assert [one["step"] for one in model["metrics"]] == [1, 2, 3, 4, 5, 9]
    assert len(pair.same_wire("GET", "metrics/get-history", run_id="$run", metric_key="acc")[1]["metrics"]) == 7
    digest = [{"dataset_name": "d", "dataset_digest": "1"}]
    for text in ("metrics.acc > 0.5", "metrics.acc >= 0.7 AND metrics.acc < 0.3", "metrics.`acc` = 0.1"):
        for datasets in (None, [{"dataset_name": "d"}], digest, [{"dataset_name": "d", "dataset_digest": "2"}]):
            pair.same("search_logged_models", ["$lab"], filter_string=text, datasets=datasets)
    pair.same("search_logged_models", ["$lab"], datasets=digest)
    for order in ({}, {"ascending": False}, {"dataset_name": "d"}, {"dataset_digest": "1", "ascending": False}):
        pair.same("search_logged_models", ["$lab"], order_by=[{"field_name": "metrics.acc", **order}])
    many = [{"key": f"{'k' * 240}{number}", "value": number, "timestamp": 1, **of | on} for number in range(250)]
    pair.same_wire("POST", "runs/log-batch", run_id="$run", metrics=many)
    assert len(pair.same("get_logged_model", "$measured")["metrics"]) == 256


def test_a_run_has_its_datasets_and_models_once(pair: Pair) -> None:
    context = {"tags": [{"key": "mlflow.data.context", "value": "train"}]}
    other = {"dataset": {"name": "tree", "digest": "2", "source_type": "s", "source": "y"}}
    for datasets in ([{**TREE, **context}, other, TREE], [TREE, {"dataset": {"name": "bare"}}], []):
        assert pair.same_wire("POST", "runs/log-inputs", run_id="$run", datasets=datasets) == (200, {})
    for _ in range(2):
        pair.same_wire("POST", "runs/log-inputs", run_id="$run", models=[{"model_id": "$one"}, {"model_id": "m-none"}])
    made = [{"model_id": "$one", "step": 3}, {"model_id": "$two"}]
    pair.same_wire("POST", "runs/outputs", run_id="$run", models=made)
    again = {"run_id": "$run", "models": [{"model_id": "$one", "step": 3}]}
    assert pair.door.wire("POST", "runs/outputs", again) == (200, {})  # 400 in MLflow, where a repeated call fails
    for route, given in LINKS_REFUSED:
        pair.same_wire("POST", f"runs/{route}", **given)

    stock, door = (_links(side) for side in (pair.stock, pair.door))
    assert door == stock
    assert [len(one) for one in stock] == [3, 2, 2]


def _links(side: Side) -> list[list[str]]:
    """Return datasets, model inputs and model outputs of the run, each in a fixed order."""
    run = side.wire("GET", "runs/get", {"run_id": "$run"})[1]["run"]
    found = [*(run["inputs"][name] for name in ("dataset_inputs", "model_inputs")), run["outputs"]["model_outputs"]]
    return [sorted(json.dumps(one, sort_keys=True) for one in links) for links in found]


def test_what_a_stock_server_refuses_is_refused_with_its_status_and_code(pair: Pair) -> None:
    for method, path, given in REFUSED:
        pair.same_wire(method, f"{OF}{path}", **given)
    for given in FAILING:
        refused = pair.door.wire("POST", f"{OF}/search", {"experiment_ids": ["$home"], **given})
        assert refused == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.slow
def test_the_functions_of_mlflow_about_logged_models_do_what_they_do_at_a_stock_server(pair: Pair) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FLUENT, pair.stock.url, pair.door.url], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    stock, door = json.loads(answer.stdout.splitlines()[-1])
    assert door == stock
    assert stock[1:3] == [["fluent", "second"], ["fluent"]]
