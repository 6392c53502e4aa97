"""Experiments, by MLflow's own client: the door answers what a stock server answers."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, ViewType

from tests.support.dialect_stack import DialectStack
from tests.support.mlflow_door import MlflowDoor, mlflow_door
from tests.support.mlflow_pair import Pair, Side
from tests.support.mlflow_service import MlflowServer
from tests.support.process_tree import until
from tests.support.server_process import request

REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "create", {}),
    ("POST", "create", {"name": ""}),
    ("POST", "create", {"name": 5}),
    ("POST", "create", {"name": "x" * 501}),
    ("POST", "create", {"name": "q", "tags": [{"key": "../x", "value": "y"}]}),
    ("POST", "create", {"name": "q", "tags": [{"key": "k" * 251, "value": "y"}]}),
    ("POST", "create", {"name": "q", "tags": [{"key": "k", "value": "v" * 20_001}]}),
    ("POST", "create", {"name": "q", "tags": "x"}),
    *(("POST", "create", {"name": "q", "artifact_location": one}) for one in (
        "s3://b/x#f", "runs:/1/2", "s3://b/?q=../", "ftp://h/x", "mlflow-artifacts://host/x", "s3://b/" + "x" * 2_100,
    )),
    ("GET", "get", {}),
    ("GET", "get", {"experiment_id": "77"}),
    ("GET", "get", {"experiment_id": "abc"}),
    ("GET", "get-by-name", {"experiment_name": "none"}),
    ("GET", "get-by-name", {}),
    *(("POST", route, {"experiment_id": one, "new_name": "q", "key": "k", "value": "v"})
      for route in ("delete", "restore", "update", "set-experiment-tag", "delete-experiment-tag")
      for one in ("77", "abc", "")),
    ("POST", "update", {"experiment_id": "77", "new_name": ""}),
    ("POST", "update", {"experiment_id": "77", "new_name": "x" * 501}),
    ("POST", "set-experiment-tag", {"experiment_id": "0", "key": "/x", "value": ""}),
    ("POST", "set-experiment-tag", {"experiment_id": "0", "key": "x", "value": "v" * 20_001}),
    ("POST", "delete-experiment-tag", {"experiment_id": "0", "key": "none"}),
    ("GET", "search", {}),
    ("GET", "search", {"max_results": 50_001}),
    ("GET", "search", {"max_results": -1}),
    ("POST", "search", {"max_results": "x"}),
    ("POST", "search", {"max_results": 1, "page_token": "x"}),
    ("POST", "search", {"max_results": 1, "order_by": "name"}),
    ("POST", "search", {"max_results": 1, "order_by": ["x"]}),
    ("POST", "search", {"max_results": 1, "filter": "x = 'y'"}),
    ("POST", "search", {"max_results": 1, "filter": "name = y"}),
    ("POST", "search", {"max_results": 1, "filter": "name > 'y'"}),
    ("POST", "search", {"max_results": 1, "filter": 5}),
]  # fmt: skip


@pytest.fixture(scope="module")
def pair(stock: MlflowServer, door: MlflowDoor) -> Pair:
    return Pair(stock.url, door.url)


def test_the_life_of_experiments_is_that_of_a_stock_server(pair: Pair) -> None:
    """One test: its parts follow from each other."""
    mark = uuid.uuid4().hex[:8]
    one, two, three = (f"{mark} {name}" for name in ("one", "two", "three"))

    pair.same("create_experiment", one, tags={"team": "a b", "n": "1"}, keep="one")
    pair.same("create_experiment", two, artifact_location="s3://bucket/x", keep="two")
    pair.same("get_experiment", "$one")
    pair.same("get_experiment_by_name", two)
    pair.same("get_experiment_by_name", three)
    assert pair.same("create_experiment", one)["error_code"] == "RESOURCE_ALREADY_EXISTS"

    pair.same("set_experiment_tag", "$one", "n", "2")
    pair.same("set_experiment_tag", "$one", "m", "")
    pair.same("delete_experiment_tag", "$one", "team")
    pair.same("delete_experiment_tag", "$one", "team")
    pair.same("get_experiment", "$one")

    assert pair.same("rename_experiment", "$two", one)["error_code"] == "BAD_REQUEST"
    pair.same("rename_experiment", "$two", three)
    pair.same("get_experiment_by_name", three)

    check_deleted(pair, one)
    check_searches(pair, mark)


def check_deleted(pair: Pair, name: str) -> None:
    pair.same("delete_experiment", "$one")
    pair.same("delete_experiment", "$one")
    assert pair.same("get_experiment_by_name", name)["lifecycle_stage"] == "deleted"
    assert pair.same("create_experiment", name)["error_code"] == "RESOURCE_ALREADY_EXISTS"
    pair.same("set_experiment_tag", "$one", "n", "3")
    pair.same("delete_experiment_tag", "$one", "n")
    assert pair.door.wire("POST", "experiments/update", {"experiment_id": "$one", "new_name": "q"}) == (
        400,  # 500 in MLflow, which clients repeat for minutes
        "INVALID_PARAMETER_VALUE",
    )
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
        pair.same("search_experiments", view, filter_string=f"name LIKE '{name[:8]}%'")
    pair.same("restore_experiment", "$one")
    pair.same("restore_experiment", "$one")
    assert pair.same("get_experiment_by_name", name)["lifecycle_stage"] == "active"


def check_searches(pair: Pair, mark: str) -> None:
    for name in ("n0", "n1", "n2"):
        pair.same("create_experiment", f"{mark} {name}", tags={"k": name}, keep=name)
    mine = f"name LIKE '{mark}%'"
    filters = [
        mine, f"{mine} AND tags.k = 'n1'", f"{mine} AND tags.k != 'n1'", f"{mine} AND tags.k IS NULL",
        f"{mine} AND tags.k IS NOT NULL", f"name ILIKE '{mark.upper()} N_'", f"name LIKE '{mark.upper()} N_'",
        f"{mine} AND creation_time > 1 AND last_update_time != 5", f"{mine} AND creation_time < 5",
        f"name = '{mark} n0'", "experiment_id IN ('$n0', '$n1')", f"{mine} AND experiment_id != '$n0'",
    ]  # fmt: skip
    for text in filters:
        pair.same("search_experiments", filter_string=text, order_by=["name"])
    for order in (["name DESC"], ["creation_time"], ["last_update_time DESC", "name"], None):
        pair.same("search_experiments", filter_string=mine, order_by=order)
    first = pair.same("search_experiments", filter_string=mine, order_by=["name"], max_results=2)
    rest = pair.same("search_experiments", filter_string=mine, order_by=["name"], page_token=first["token"])
    assert (len(first["rows"]), len(rest["rows"]), rest["token"]) == (2, 3, None)


def test_the_runs_of_a_deleted_experiment_are_deleted_until_it_is_restored(pair: Pair) -> None:
    pair.same("create_experiment", uuid.uuid4().hex, keep="group")
    for name in ("kept", "logged"):
        for side in (pair.stock, pair.door):
            side.ids[name] = side.client.create_run(side.ids["group"], run_name=name).info.run_id
    pair.same("delete_experiment", "$group")
    assert stages(pair) == {"deleted"}
    pair.same("log_metric", "$logged", "loss", 1.0)
    refused = {"experiment_id": "$group"}
    assert pair.same_wire("POST", "runs/create", **refused) == (400, "INVALID_PARAMETER_VALUE")
    assert pair.same_wire("POST", "runs/create", experiment_id="77")[0] == 404
    pair.same("restore_experiment", "$group")
    assert stages(pair) == {"active"}
    pair.same("log_metric", "$logged", "loss", 2.0)
    assert pair.same_wire("POST", "runs/log-metric", run_id="$kept", key="a", value=1, timestamp=1)[0] == 200


def stages(pair: Pair) -> set[str]:
    """Return the stages of the runs, which must be the same on both sides, as must be what a search of each finds."""
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
        pair.same("search_runs", ["$group"], run_view_type=view, order_by=["run_name"])
    return {pair.same("get_run", f"${name}")["info"]["lifecycle_stage"] for name in ("kept", "logged")}


def test_what_a_stock_server_refuses_is_refused_with_its_status_and_code(pair: Pair) -> None:
    for method, path, given in REFUSED:
        pair.same_wire(method, f"experiments/{path}", **given)


def test_the_datasets_of_the_runs_of_an_experiment_are_listed(pair: Pair) -> None:
    answers = []
    for side in (pair.stock, pair.door):
        experiment_id = side.client.create_experiment(uuid.uuid4().hex)
        for context in ("train", None, "train"):
            tags = [InputTag("mlflow.data.context", context)] if context else []
            dataset = Dataset(name="digits", digest="1a", source_type="local", source="{}")
            run = side.client.create_run(experiment_id)
            side.client.log_inputs(run.info.run_id, [DatasetInput(dataset, tags)])
        asked = [{"experiment_ids": [experiment_id]}, {"experiment_ids": []}, {"experiment_ids": ["0"] * 21}]
        answers.append([_datasets(side, one, experiment_id) for one in asked])

    assert answers[0] == answers[1]
    assert [len(one) for one in answers[1][0]] == [3, 4], "without and with a context"


def _datasets(side: Side, asked: dict[str, Any], experiment_id: str) -> Any:
    """Return what MLflow's pages get; whether it is about the experiment in place of its id."""
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    port = int(side.url.rpartition(":")[2])
    status, _, text = request(port, "POST", path, json.dumps(asked).encode())
    if status != 200:
        return status, json.loads(text)["error_code"]
    rows = json.loads(text)["dataset_summaries"]
    return sorted(({**one, "experiment_id": one["experiment_id"] == experiment_id} for one in rows), key=len)


def test_two_clients_that_create_one_name_at_once_learn_who_did(door: MlflowDoor) -> None:
    name = uuid.uuid4().hex

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda side: side.call("create_experiment", name), [Side(door.url), Side(door.url)]))
    assert sorted(map(type, answers), key=str) == [dict, str]
    assert {"error_code": "RESOURCE_ALREADY_EXISTS", "status": 400} in answers


def test_every_door_has_the_default_experiment(stack: DialectStack, door: MlflowDoor) -> None:
    with mlflow_door(stack) as other:
        for side in (Side(door.url), Side(other.url)):
            until(partial(_has_default, side), "the default experiment exists")
            found = side.call("get_experiment_by_name", "Default")
            assert (found["experiment_id"], found["artifact_location"]) == ("0", "mlflow-artifacts:/0")
    assert len(stack.done("experiments", "list", "--where", "name = 'Default'")) == 1


def _has_default(side: Side) -> bool:
    return bool(side.client.get_experiment("0").creation_time)
