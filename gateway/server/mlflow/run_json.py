"""
A run as MLflow shows it: its document of the query API as MLflow's `run` object.

Pure. Also runs that were not recorded through the door are shown: names that MLflow does not accept are escaped, a
parameter becomes text, and what MLflow derives from tags is the same in the tags. The forms are those that
mlflow/utils/proto_json_utils.py gives MLflow's messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.mapping.mlflow import (
    DEFAULT_EXPERIMENT_ID,
    NOBODY,
    PARENT_TAG,
    RUN_NAME_TAG,
    STATUS_OF,
    USER_TAG,
    shown_key,
    shown_param,
    shown_value,
)

# Labels of a run with what MLflow keeps and no other field of a run has.
ARTIFACT_URI_LABEL = "mlflow.artifact_uri"  # where it is not the place that follows from the run's experiment
USER_LABEL = "mlflow.user_id"  # where no tag says it
DATASET, MODEL_INPUT, MODEL_OUTPUT = "mlflow.dataset/", "mlflow.input/", "mlflow.output/"  # JSON; the rest is the id
NUMBER = "number"  # in such a label: which one of the run it is, because labels have no order


def run_json(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return MLflow's `run` object of a RunDocument (schemas/api)."""
    return {
        "info": run_info(run),
        "data": _filled({
            "metrics": [
                {"key": shown_key(name), "value": shown_value(last["value"]), "timestamp": last["time"] // 1_000,
                 "step": last["step"]}
                for name, last in run["metrics"].items()
            ],
            "params": [{"key": shown_key(name), "value": shown_param(one)} for name, one in run["params"].items()],
            "tags": [{"key": key, "value": text} for key, text in run_tags(run).items()],
        }),
        "inputs": _filled({
            "dataset_inputs": dataset_inputs(run),
            "model_inputs": _links(run, MODEL_INPUT),
        }),
        "outputs": _filled({
            "model_outputs": _links(run, MODEL_OUTPUT),
        }),
    }  # fmt: skip


def dataset_inputs(run: Mapping[str, Any]) -> list[Any]:
    """Return MLflow's `dataset_input` objects of a RunDocument."""
    return _links(run, DATASET)


def run_info(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return MLflow's `run_info` object of a RunDocument. Times are in ms; a running one has no `end_time`."""
    run_id, labels = run["run_id"], run.get("labels") or {}
    experiment_id = run.get("experiment_id") or DEFAULT_EXPERIMENT_ID
    started, ended = run.get("started"), run.get("ended")
    info = {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_name": run.get("name") or run_id,
        "experiment_id": experiment_id,
        "user_id": str(labels.get(USER_LABEL) or run["tags"].get(USER_TAG) or NOBODY),
        "status": STATUS_OF[run["state"]],
        "start_time": (run["created"] if started is None else started) // 1_000,
        "artifact_uri": str(labels.get(ARTIFACT_URI_LABEL) or artifact_uri(experiment_id, run_id)),
        "lifecycle_stage": run.get("lifecycle_stage", "active"),
    }
    return info if ended is None else {**info, "end_time": ended // 1_000}


def run_tags(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a RunDocument by key, with the name and the parent of the run, which MLflow reads there."""
    tags = {shown_key(name): text for name, text in run["tags"].items()}
    tags[RUN_NAME_TAG] = run.get("name") or run["run_id"]
    if parent := run.get("parent_run_id"):
        tags.setdefault(PARENT_TAG, parent)
    return tags


def artifact_uri(experiment_id: str, run_id: str) -> str:
    """Return the place of a run's artifacts."""
    return f"mlflow-artifacts:/{experiment_id}/{run_id}/artifacts"


def _filled(lists: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the lists that hold anything: MLflow leaves the others out."""
    return {name: one for name, one in lists.items() if one}


def _links(run: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the JSON objects of labels, in the order in which they were logged."""
    labels = (run.get("labels") or {}).items()
    found = [
        orjson.loads(one) if isinstance(one, str) else dict(one) for name, one in labels if name.startswith(prefix)
    ]
    found.sort(key=lambda one: one.get(NUMBER, 0))
    return [{name: value for name, value in one.items() if name != NUMBER} for one in found]
