"""
The routes of runs that write, and `runs/get`.
"""

from __future__ import annotations

from gateway.server.mlflow.protobuf import array, integer, number, required, string
from gateway.server.mlflow.routing import Route
from gateway.server.mlflow.runs.entries import (
    delete_tag,
    log_batch,
    log_metric,
    log_model,
    log_parameter,
    metric_fields,
    param_fields,
    set_tag,
    tag_fields,
)
from gateway.server.mlflow.runs.lifecycle import create_run, delete_run, get_run, restore_run, update_run

_RUN = {"run_id": [required, string]}
_KEY = {**_RUN, "key": [required, string]}
_CREATE = {"experiment_id": [string], "start_time": [integer], "run_name": [string]}
_UPDATE = {**_RUN, "end_time": [integer], "status": [string], "run_name": [string]}
_METRIC = {
    **_KEY, "value": [required, number], "timestamp": [integer, required], "step": [integer], "model_id": [string],
    "dataset_name": [string], "dataset_digest": [string],
}  # fmt: skip
_BATCH = {
    "run_id": [string, required],
    "metrics": [array, metric_fields],
    "params": [array, param_fields],
    "tags": [array, tag_fields],
}

ROUTES = [
    Route("POST", "/mlflow/runs/create", "CreateRun", create_run, _CREATE),
    Route("GET", "/mlflow/runs/get", "GetRun", get_run, _RUN),
    Route("POST", "/mlflow/runs/update", "UpdateRun", update_run, _UPDATE),
    Route("POST", "/mlflow/runs/delete", "DeleteRun", delete_run, _RUN),
    Route("POST", "/mlflow/runs/restore", "RestoreRun", restore_run, _RUN),
    Route("POST", "/mlflow/runs/log-metric", "LogMetric", log_metric, _METRIC),
    Route("POST", "/mlflow/runs/log-parameter", "LogParam", log_parameter, {**_KEY, "value": [string]}),
    Route("POST", "/mlflow/runs/log-batch", "LogBatch", log_batch, _BATCH),
    Route("POST", "/mlflow/runs/set-tag", "SetTag", set_tag, {**_KEY, "value": [string]}),
    Route("POST", "/mlflow/runs/delete-tag", "DeleteTag", delete_tag, _KEY),
    Route("POST", "/mlflow/runs/log-model", "LogModel", log_model, {**_RUN, "model_json": [string, required]}),
]
