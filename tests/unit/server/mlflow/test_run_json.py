"""A run document as MLflow's `run` object."""

from __future__ import annotations

import math
from typing import Any

import pytest
from mlflow.protos.service_pb2 import Run
from mlflow.utils.proto_json_utils import parse_dict

from gateway.server.mlflow.run_json import run_json
from schemas.api import LastPoint, RunDocument
from schemas.mapping.mlflow import is_key, shown_key, shown_names, shown_param, shown_value

ORDER = (("a", 2), ("b", 0), ("c", 1))  # name, and which one of the run it is


def document(**fields: Any) -> dict[str, Any]:
    found = RunDocument(run_id="r1", name="calm-tern-7", state="running", created=1_000_000, updated=2_000_000)
    return found.model_copy(update=fields).model_dump(mode="json")


def test_it_is_what_mlflows_client_reads() -> None:
    last = LastPoint(step=3, time=1_700_000_000_123_456, value="NaN")
    run = document(
        experiment_id="7", started=1_500_999, ended=1_700_000, state="killed", metrics={"loss": last},
        params={"lr": 0.1, "text": "a", "on": True, "layers": [1, 2]}, tags={"mlflow.user": "ada"}, parent_run_id="p",
        labels={"mlflow.dataset/d/n": {"dataset": {"name": "n", "digest": "d"}}, "mlflow.output/m": {"model_id": "m"}},
    )  # fmt: skip
    message = Run()
    parse_dict(run_json(run), message)

    info = message.info
    assert (info.run_id, info.run_uuid, info.run_name, info.experiment_id) == ("r1", "r1", "calm-tern-7", "7")
    assert (info.start_time, info.end_time, info.status, info.user_id) == (1_500, 1_700, 5, "ada")
    assert (info.artifact_uri, info.lifecycle_stage) == ("mlflow-artifacts:/7/r1/artifacts", "active")
    (metric,) = message.data.metrics
    assert (metric.key, metric.timestamp, metric.step) == ("loss", 1_700_000_000_123, 3)
    assert math.isnan(metric.value)
    assert {one.key: one.value for one in message.data.params} == {
        "lr": "0.1", "text": "a", "on": "True", "layers": "[1,2]",
    }  # fmt: skip
    assert {one.key: one.value for one in message.data.tags} == {
        "mlflow.user": "ada", "mlflow.runName": "calm-tern-7", "mlflow.parentRunId": "p",
    }  # fmt: skip
    assert message.inputs.dataset_inputs[0].dataset.digest == "d"
    assert message.outputs.model_outputs[0].model_id == "m"


@pytest.mark.parametrize(
    ("state", "status"),
    [("created", "SCHEDULED"), ("running", "RUNNING"), ("finished", "FINISHED"), ("lost", "FAILED")],
)
def test_each_state_has_a_status(state: str, status: str) -> None:
    info = run_json(document(state=state))["info"]
    assert (info["status"], info["experiment_id"], info["start_time"]) == (status, "0", 1_000)
    assert "end_time" not in info


def test_infinities_are_clipped_as_by_mlflows_sql_stores() -> None:
    assert [shown_value(one) for one in ("Infinity", "-Infinity", 1.5)] == [
        1.7976931348623157e308, -1.7976931348623157e308, 1.5,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["loss", "a_x62_", "train/loss", "épochs", "a:b", "x y", "mlflow.runName"])
def test_a_name_that_mlflow_accepts_is_shown_as_it_is(name: str) -> None:
    assert is_key(name)
    assert (shown_key(name), shown_names(name)[0]) == (name, name)


@pytest.mark.parametrize("name", ["loss{rank=3}", "../x", "a//b", "50%", "/abs", "."])
def test_another_name_is_escaped_and_found_again(name: str) -> None:
    key = shown_key(name)
    assert is_key(key)
    assert name in shown_names(key)


def test_a_parameter_longer_than_mlflow_takes_is_cut() -> None:
    assert shown_param("x" * 7_000) == "x" * 6_000


def test_datasets_are_in_the_order_in_which_they_were_logged() -> None:
    labels = {f"mlflow.dataset/{name}/n": {"dataset": {"name": name}, "number": number} for name, number in ORDER}
    found = run_json(document(labels=labels))["inputs"]["dataset_inputs"]
    assert found == [{"dataset": {"name": name}} for name in ("b", "c", "a")]


def test_the_user_that_a_call_named_counts_and_not_that_of_a_tag() -> None:
    named = document(tags={"mlflow.user": "ada"}, labels={"mlflow.user_id": "bob"})
    assert run_json(named)["info"]["user_id"] == "bob"
