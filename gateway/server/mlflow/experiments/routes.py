"""
The routes of experiments; what they require follows mlflow/server/handlers.py.
"""

from __future__ import annotations

from gateway.server.mlflow.experiments import changes, reads
from gateway.server.mlflow.protobuf import Schema, array, integer, required, string
from gateway.server.mlflow.routing import Route

_ID: Schema = {"experiment_id": [required, string]}
_PATH = "/mlflow/experiments"
_SEARCH: Schema = {
    "view_type": [integer],
    "max_results": [integer],
    "order_by": [array],
    "filter": [string],
    "page_token": [string],
}

ROUTES = [
    Route(
        "POST", f"{_PATH}/create", "CreateExperiment", changes.create_experiment,
        {"name": [required, string], "artifact_location": [string], "tags": [array]},
    ),
    Route("GET", f"{_PATH}/get", "GetExperiment", reads.get_experiment, _ID),
    Route(
        "GET", f"{_PATH}/get-by-name", "GetExperimentByName", reads.get_by_name,
        {"experiment_name": [required, string]},
    ),
    Route("GET", f"{_PATH}/search", "SearchExperiments", reads.search_experiments, _SEARCH),
    Route("POST", f"{_PATH}/search", "SearchExperiments", reads.search_experiments, _SEARCH),
    Route("POST", f"{_PATH}/delete", "DeleteExperiment", changes.delete_experiment, _ID),
    Route("POST", f"{_PATH}/restore", "RestoreExperiment", changes.restore_experiment, _ID),
    Route(
        "POST", f"{_PATH}/update", "UpdateExperiment", changes.rename_experiment,
        {**_ID, "new_name": [string, required]},
    ),
    Route(
        "POST", f"{_PATH}/set-experiment-tag", "SetExperimentTag", changes.set_tag,
        {**_ID, "key": [required, string], "value": [string]},
    ),
    Route(
        "POST", f"{_PATH}/delete-experiment-tag", "DeleteExperimentTag", changes.delete_tag,
        {**_ID, "key": [required, string]},
    ),
]  # fmt: skip
