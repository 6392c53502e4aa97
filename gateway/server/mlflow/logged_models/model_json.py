"""
A logged model as MLflow shows it: its document of the query API as MLflow's `model` object.

Pure. The form is that of LoggedModel.to_proto (mlflow/entities/logged_model.py) in MLflow's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.mapping.mlflow import LARGEST

STATUSES = ("unspecified", "pending", "ready", "failed")  # by MLflow's number
_SHOWN = {
    "unspecified": "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "pending": "LOGGED_MODEL_PENDING",
    "ready": "LOGGED_MODEL_READY",
    "failed": "LOGGED_MODEL_UPLOAD_FAILED",
}
_NUMBERS = {"NaN": 0.0, "Infinity": LARGEST, "-Infinity": -LARGEST}  # as MLflow stores points of models


def model_json(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return MLflow's `model` object of a LoggedModelDocument (schemas/api). Times are in ms."""
    info = {
        "model_id": model["model_id"],
        "experiment_id": model["experiment_id"],
        "name": model["name"],
        "creation_timestamp_ms": model["created"] // 1_000,
        "last_updated_timestamp_ms": model["updated"] // 1_000,
        "artifact_uri": artifact_uri(model),
        "status": _SHOWN[model["status"]],
        "model_type": model["model_type"],
        "source_run_id": model["source_run_id"],
        "tags": _pairs(model["tags"]),
    }
    data = {"params": _pairs(model["params"]), "metrics": [_metric(model["model_id"], one) for one in model["points"]]}
    return {"info": _without_empty(info), "data": _without_empty(data)}


def artifact_uri(model: Mapping[str, Any]) -> str:
    """Return where the files of a model are."""
    place = f"mlflow-artifacts:/{model['experiment_id']}/models/{model['model_id']}/artifacts"
    return str(model["artifact_location"] or place)


def _metric(model_id: str, point: Mapping[str, Any]) -> dict[str, Any]:
    value = point["value"]
    found = {
        "key": point["name"],
        "value": _NUMBERS[value] if isinstance(value, str) else value,
        "timestamp": point["time"] // 1_000,
        "step": point["step"],
        "model_id": model_id,
        "run_id": point["run_id"],
    }
    dataset = {name: point[name] for name in ("dataset_name", "dataset_digest") if point[name]}
    return found | dataset


def _pairs(texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in texts.items()]


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != []}
