"""Logged models: MLflow's filters in the words of the query API, and documents as MLflow's objects."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.store.registry.logged_models import FACTS, NAMED
from consumers.store.search.filter import parse_filter
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.logged_models.model_json import model_json
from gateway.server.mlflow.logged_models.search import where
from gateway.server.mlflow.search.grammar import read_models_offset, write_models_offset

FILTERS = {
    "": "",
    "name = 'a' AND name != b": "name = 'a' and name != 'b'",
    "metrics.`a b` >= -1e-3": "metrics.`a b` >= -0.001",
    "metrics.`a``b` < 1e300": "metrics.`a````b` < 1e+300",  # likewise
    "params.a = 1": "params.`a` = '1'",
    "tags.`x y` LIKE '%it''s'": "tags.`x y` like '%it''''s'",  # MLflow keeps doubled quotes as they are
    "model_id NOT IN ('a', 'b')": "model_id not in ('a', 'b')",
    "params.a IN ('b')": "params.`a` in ('b')",
    "creation_time > 5 AND last_updated_timestamp <= 7": "created > 5.0 and updated <= 7.0",
    "status = '2' AND status NOT IN ('1', 'READY')": "status = 'ready' and status not in ('pending', 'READY')",
}
REFUSED = [
    "name", "name = 'a' OR name = 'b'", "name > 'a'", "metrics.a LIKE 'x'", "metrics.a = 'x'", "metrics.a IN (1)",
    "lifecycle_stage = 'active'", "traces.a = 'b'", "status LIKE '1'", "name IN (", "a; b", "name IS NULL",
    "name IN (1 +)", "'; DROP TABLE logged_models; --",
]  # fmt: skip


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_becomes_one_that_the_query_api_reads(text: str) -> None:
    assert where(text) == FILTERS[text]
    parse_filter(where(text), FACTS, NAMED)


@pytest.mark.parametrize("text", REFUSED)
def test_what_mlflow_refuses_or_fails_at_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        where(text)
    assert refused.value.code == "INVALID_PARAMETER_VALUE"


def test_a_page_token_is_of_one_search() -> None:
    order: list[dict[str, Any]] = [{"field_name": "name", "ascending": True}]
    token = write_models_offset(7, ["1"], None, order)

    assert read_models_offset(token, ["1"], None, order) == 7
    for other in ((["2"], None, order), (["1"], "name = 'x'", order), (["1"], None, None)):
        with pytest.raises(Refused, match="page token"):
            read_models_offset(token, *other)


def test_a_model_is_shown_as_mlflow_shows_it() -> None:
    point = {"name": "loss", "time": 1_500, "step": -1, "run_id": "r", "dataset_name": "", "dataset_digest": ""}
    values = ("NaN", "Infinity", "-Infinity", 0.5)
    model = {
        "model_id": "m-1", "experiment_id": "7", "name": "n", "model_type": "", "source_run_id": "r",
        "artifact_location": "", "status": "failed", "state": "active", "params": {}, "tags": {"a": ""},
        "created": 1_999, "updated": 5_000,
        "points": [{**point, "value": value, "dataset_name": "d" * number} for number, value in enumerate(values)],
    }  # fmt: skip

    shown = model_json(model)

    assert shown["info"] == {
        "model_id": "m-1", "experiment_id": "7", "name": "n", "model_type": "", "source_run_id": "r",
        "status": "LOGGED_MODEL_UPLOAD_FAILED", "tags": [{"key": "a", "value": ""}], "creation_timestamp_ms": 1,
        "last_updated_timestamp_ms": 5, "artifact_uri": "mlflow-artifacts:/7/models/m-1/artifacts",
    }  # fmt: skip
    largest = 1.7976931348623157e308
    assert [one["value"] for one in shown["data"]["metrics"]] == [0.0, largest, -largest, 0.5]
    first, second = shown["data"]["metrics"][:2]
    assert first == {"key": "loss", "value": 0.0, "timestamp": 1, "step": -1, "model_id": "m-1", "run_id": "r"}
    assert second["dataset_name"] == "d"
    assert model_json({**model, "artifact_location": "s3://b/m"})["info"]["artifact_uri"] == "s3://b/m"
