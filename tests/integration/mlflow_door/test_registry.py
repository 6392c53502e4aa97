"""Registered models and versions, by MLflow's own client: the door answers what a stock server answers."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.mlflow_door import MlflowDoor
from tests.support.mlflow_pair import Pair, Side
from tests.support.mlflow_service import MlflowServer

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated since:FutureWarning")  # stages

M, V = "registered-models", "model-versions"
NONE = {"name": "none", "version": "1", "key": "k", "value": "v", "alias": "a", "new_name": "other", "stage": "Staging"}
REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    *(("POST", f"{M}/create", {"name": one}) for one in ("", " ", "a/b", "a:b", "..", 5)),
    ("POST", f"{M}/create", {"name": "q", "tags": [{"key": "../x", "value": "y"}]}),
    ("POST", f"{M}/create", {"name": "q", "tags": [{"key": "x", "value": "y" * 100_001}]}),
    ("POST", f"{M}/create", {"name": "q", "description": 5}),
    *((method, f"{M}/{route}", NONE) for method, route in (
        ("POST", "rename"), ("PATCH", "update"), ("DELETE", "delete"), ("GET", "get"), ("POST", "set-tag"),
        ("DELETE", "delete-tag"), ("POST", "alias"), ("DELETE", "alias"), ("GET", "alias"),
        ("GET", "get-latest-versions"), ("POST", "get-latest-versions"))),
    *((method, f"{V}/{route}", {**NONE, "version": version}) for method, route in (
        ("PATCH", "update"), ("POST", "transition-stage"), ("DELETE", "delete"), ("GET", "get"),
        ("GET", "get-download-uri"), ("POST", "set-tag"), ("DELETE", "delete-tag")) for version in ("1", "x", "", "0")),
    ("GET", f"{V}/get-download-uri", {}),
    ("POST", f"{M}/rename", {"name": "none", "new_name": ""}),
    ("POST", f"{M}/rename", {"name": "none", "new_name": "a/b"}),
    *(("POST", f"{M}/alias", {**NONE, "alias": one}) for one in ("v1", "latest", "a b", "", "a" * 256)),
    ("POST", f"{V}/create", {"name": "none", "source": "s3://b/1"}),
    ("POST", f"{V}/create", {"name": "none"}),
    ("POST", f"{V}/transition-stage", {**NONE, "stage": "best"}),
    *(("POST", f"{V}/create", {"name": "none", "source": one}) for one in (
        "/tmp/x", "file:///tmp/x", "runs:/abc/model", "models:/none/1", "models:/m-1", "models://host/m/1",
        "models:/a/b/c", "mlflow-artifacts:/0/a", "mlflow-artifacts:/0/../a", "http://h/x", "s3://b/../x",
        "s3://b/%2e%2e/x", "s3://b")),
    ("POST", f"{V}/create", {"name": "none", "source": "runs:/abc/model", "run_id": "other"}),
    ("POST", f"{V}/create", {"name": "none", "source": "mlflow-artifacts:/0/a", "run_id": "other"}),
    ("POST", f"{V}/create", {
        "name": "none", "source": "s3://b/1", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}),
    ("POST", f"{M}/get-latest-versions", {"name": "none", "stages": "Staging"}),
    ("GET", f"{M}/search", {"max_results": 1_001}),
    ("GET", f"{M}/search", {"max_results": "x"}),
    ("GET", f"{M}/search", {"filter": "version_number = 1"}),
    ("GET", f"{M}/search", {"order_by": "creation_timestamp"}),
    ("GET", f"{M}/search", {"page_token": "x"}),
    ("GET", f"{V}/search", {"max_results": 0}),
    ("GET", f"{V}/search", {"max_results": 200_001}),
    ("GET", f"{V}/search", {"filter": "current_stage = 'Production'"}),
    ("GET", f"{V}/search", {"filter": "name = 'a' OR name = 'b'"}),
    ("GET", f"{V}/search", {"order_by": "run_id"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def pair(stock: MlflowServer, door: MlflowDoor) -> Pair:
    return Pair(stock.url, door.url)


def test_the_life_of_models_is_that_of_a_stock_server(pair: Pair) -> None:
    """One test: its parts follow from each other."""
    name, other = (f"{uuid.uuid4().hex[:8]} {word}" for word in ("one", "other"))
    pair.same("create_registered_model", name, tags={"team": "a b"}, description="first")
    pair.same("create_registered_model", other)
    assert pair.same("create_registered_model", name)["error_code"] == "RESOURCE_ALREADY_EXISTS"
    pair.same("create_registered_model", name, tags={"mlflow.prompt.is_prompt": "true"})
    for number, more in enumerate(
        ({}, {"run_id": "abc", "tags": {"n": "1"}, "run_link": "http://runs/1", "description": "second"}, {})
    ):
        pair.same("create_model_version", name, f"s3://bucket/{number}", **more)
    check_stages(pair, name)
    check_marks(pair, name)
    check_sources(pair, name, other)
    check_searches(pair, name, other)
    check_ends(pair, name, other)


def check_stages(pair: Pair, name: str) -> None:
    pair.same("transition_model_version_stage", name, 2, "production")
    pair.same("transition_model_version_stage", name, 1, "Staging", archive_existing_versions=True)
    pair.same("transition_model_version_stage", name, "3", "Staging", archive_existing_versions=True)
    assert pair.same("get_model_version", name, 1)["current_stage"] == "Archived"
    pair.same("get_latest_versions", name)
    pair.same("get_latest_versions", name, stages=["production", "None"])
    pair.same("get_registered_model", name)
    archiving = {"name": name, "version": "1", "stage": "None", "archive_existing_versions": True}
    assert pair.door.wire("POST", f"{V}/transition-stage", archiving) == (
        400,  # 500 in MLflow, which clients repeat for minutes
        "INVALID_PARAMETER_VALUE",
    )


def check_marks(pair: Pair, name: str) -> None:
    pair.same("update_registered_model", name, "described")
    pair.same("update_model_version", name, 2, "described")
    pair.same("set_registered_model_tag", name, "k", "")
    pair.same("delete_registered_model_tag", name, "none")
    pair.same("delete_registered_model_tag", name, "team")
    pair.same("set_model_version_tag", name, 2, "k", "v")
    pair.same("delete_model_version_tag", name, 2, "n")
    pair.same("delete_model_version_tag", name, 2, "n")
    pair.same("set_registered_model_alias", name, "best", 1)
    pair.same("set_registered_model_alias", name, "best", 2)
    pair.same("set_registered_model_alias", name, "old", 1)
    pair.same("delete_registered_model_alias", name, "none")
    pair.same("set_registered_model_alias", name, "new", 9)
    pair.same("get_model_version_by_alias", name, "best")
    pair.same("get_model_version_by_alias", name, "latest")
    pair.same("get_model_version_by_alias", name, "none")
    pair.same("get_registered_model", name)


def check_sources(pair: Pair, name: str, other: str) -> None:
    for source in (f"models:/{name}/2", f"models:/{name}@best", f"models:/{name}/Production", f"models:/{name}/latest"):
        pair.same("create_model_version", other, source)
    pair.same("create_model_version", other, f"models:/{other}/1", run_id="abc")
    pair.same("create_model_version", other, f"models:/{name}/2", run_id="another")
    pair.same("create_logged_model", "0", name="net", keep="model")
    pair.same("create_model_version", other, "models:/$model", model_id="$model")
    pair.same("create_model_version", other, "models:/$model", model_id="m-another")
    assert '"version"' in pair.same("get_logged_model", "$model")["tags"]["mlflow.modelVersions"]
    pair.same("get_model_version_download_uri", other, 6)
    pair.same("get_model_version_download_uri", other, 1)
    pair.same("get_model_version_download_uri", other, 5)
    pair.same("get_model_version_download_uri", name, 2)


def check_searches(pair: Pair, name: str, other: str) -> None:
    mine = f"name LIKE '{name[:8]}%'"
    pair.same("create_registered_model", f"{name} prompt", tags={"mlflow.prompt.is_prompt": "true"})
    prompt_tags = {"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": "hello"}
    pair.same("create_model_version", f"{name} prompt", "dummy-source", tags=prompt_tags)
    prompts = f"{mine} AND tags.`mlflow.prompt.is_prompt`"
    for text in (mine, f"{mine} AND tags.k != 'v'", f"name = '{other}'", f"name ILIKE '{name[:8].upper()}%'",
                 f"name IN ('{name}', '{other}')", f"{prompts} = 'true'", f"{prompts} != 'true'"):  # fmt: skip
        _same_models(pair, filter_string=text)
    for order in (["name DESC"], ["last_updated_timestamp"], ["timestamp DESC", "name"]):
        _same_models(pair, filter_string=mine, order_by=order)
    first = _same_models(pair, filter_string=mine, max_results=1)
    assert len(_same_models(pair, filter_string=mine, page_token=first["token"])["rows"]) == 1
    for text in ("", " AND version_number >= 2", " AND run_id = 'abc'", " AND run_id IN ('abc')", " AND tags.k = 'v'",
                 " AND source_path LIKE 's3://%'", " AND tags.`mlflow.prompt.is_prompt` = 'true'"):  # fmt: skip
        pair.same("search_model_versions", mine + text, order_by=["name", "version_number"])
    for ordering in (["version_number DESC", "name"], ["creation_timestamp"], None):
        pair.same("search_model_versions", mine, order_by=ordering)
    first = pair.same("search_model_versions", mine, max_results=3)
    pair.same("search_model_versions", mine, page_token=first["token"])


def check_ends(pair: Pair, name: str, other: str) -> None:
    assert pair.same("rename_registered_model", name, other)["error_code"] == "RESOURCE_ALREADY_EXISTS"
    pair.same("rename_registered_model", name, f"{name} renamed")
    pair.same("get_registered_model", name)
    name = f"{name} renamed"
    pair.same("get_model_version_by_alias", name, "old")
    pair.same("delete_model_version", name, 3)
    pair.same("delete_model_version", name, 3)
    pair.same("create_model_version", name, "s3://bucket/4")
    pair.same("delete_model_version", name, 2)
    pair.same("get_registered_model", name)
    pair.same("delete_registered_model", name)
    pair.same("delete_registered_model", name)
    pair.same("search_model_versions", f"name = '{name}'")
    pair.same("create_registered_model", name)


def _same_models(pair: Pair, **search: Any) -> Any:
    """Compare a search of models; the newest versions of one have no order in MLflow's answer."""
    found = [side.call("search_registered_models", **search) for side in (pair.stock, pair.door)]
    for answer in found:
        for row in answer["rows"]:
            row["latest_versions"].sort(key=lambda one: str(one["version"]))
    assert found[1] == found[0], search
    return found[1]


def test_what_a_stock_server_refuses_is_refused_with_its_status_and_code(pair: Pair) -> None:
    for method, path, given in REFUSED:
        pair.same_wire(method, path, **given)


def test_two_clients_that_create_a_version_at_once_get_a_number_each(door: MlflowDoor) -> None:
    name, sides = uuid.uuid4().hex, [Side(door.url), Side(door.url)]
    with ThreadPoolExecutor(2) as threads:
        models = list(threads.map(lambda side: side.call("create_registered_model", name), sides))
        versions = list(threads.map(lambda side: side.call("create_model_version", name, "s3://b/1"), sides))

    assert sum(one.get("error_code") == "RESOURCE_ALREADY_EXISTS" for one in models) == 1
    assert sorted(one["version"] for one in versions) in ([1, 2], ["1", "2"])
