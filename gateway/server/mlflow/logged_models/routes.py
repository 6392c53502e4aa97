"""
Routes of one logged model: it is created, read, finalized and deleted, and gets parameters and tags.

What is checked, and how it is answered, follows mlflow/server/handlers.py and
mlflow/store/tracking/sqlalchemy_store.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from gateway.client.ids import run_name
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, absent, invalid
from gateway.server.mlflow.experiments.find import active_experiment, default_location
from gateway.server.mlflow.logged_models.artifacts import list_model_files
from gateway.server.mlflow.logged_models.model_json import STATUSES, artifact_uri, model_json
from gateway.server.mlflow.logged_models.models import read_model, unknown_model
from gateway.server.mlflow.protobuf import array, integer, required, string, validate
from gateway.server.mlflow.requests import Decision, request
from gateway.server.mlflow.routing import Call, Route

COLLECTION, PATH = "logged_models", "/mlflow/logged-models"


async def create_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Create a model, pending, in an experiment."""
    asked = call.message
    validate("logged_model_name", asked.name or None)
    experiment = await active_experiment(door, asked.experiment_id)
    model_id = f"m-{uuid4().hex}"
    decision = await request(
        door,
        COLLECTION,
        model_id,
        "logged_model_created",
        experiment_id=experiment["experiment_id"],
        name=asked.name or run_name(),
        model_type=asked.model_type,
        source_run_id=asked.source_run_id,
        artifact_location=_location(experiment, model_id),
        params=_texts(asked.params, "param"),
        tags=_texts(asked.tags, "tag"),
    )
    _check(decision, model_id)
    return {"model": model_json(await read_model(door, model_id, allow_deleted=True))}


async def get_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Answer a model; a deleted one with `allow_deleted=true`."""
    allow_deleted = str(call.given.get("allow_deleted", "")).lower() == "true"
    return {"model": model_json(await read_model(door, call.path["model_id"], allow_deleted=allow_deleted))}


async def finalize_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Set the status of a model; its id is that of the body, as in MLflow."""
    model_id = call.message.model_id
    await _request(door, model_id, "logged_model_status", status=STATUSES[call.message.status])
    return {"model": model_json(await read_model(door, model_id, allow_deleted=True))}


async def delete_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Delete a model."""
    await _request(door, call.path["model_id"], "logged_model_deleted")
    return {}


async def log_params(door: Door, call: Call) -> Mapping[str, Any]:
    """Add parameters that the model does not have."""
    model_id = call.path["model_id"]
    if params := _texts(call.message.params, "param"):
        await _request(door, model_id, "logged_model_params", params=params)
    else:
        await read_model(door, model_id, allow_deleted=True)
    return {}


async def set_tags(door: Door, call: Call) -> Mapping[str, Any]:
    """Set tags; the last value of a key counts."""
    model_id = call.path["model_id"]
    if tags := {one.key: one.value for one in call.message.tags}:
        await _request(door, model_id, "logged_model_tags", tags=tags)
    else:
        await read_model(door, model_id, allow_deleted=True)
    return {}


async def delete_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """Remove a tag that the model has."""
    model_id, key = call.path["model_id"], call.path["tag_key"]
    model = await read_model(door, model_id, allow_deleted=True)
    if key not in model["tags"]:
        raise absent(f"No tag with key {key!r} found for model with ID {model_id!r}.")
    await _request(door, model_id, "logged_model_tags", tags={key: None})
    return {}


async def list_artifacts(door: Door, call: Call) -> Mapping[str, Any]:
    """List the files and folders directly in a folder of a model."""
    model = await read_model(door, call.path["model_id"])
    folder = call.message.artifact_directory_path
    if ".." in folder.split("/") or folder.startswith("/"):
        raise invalid("Invalid path")
    found = await list_model_files(door, model["model_id"], folder)
    files = [
        {"path": one["path"], "is_dir": one["is_dir"]} | ({} if one["is_dir"] else {"file_size": one["size"]})
        for one in found
    ]
    return {"root_uri": artifact_uri(model)} | ({"files": files} if files else {})


def _location(experiment: Mapping[str, Any], model_id: str) -> str:
    """Return where the files of a model are; "" for the place that follows from its experiment's id."""
    location = experiment["artifact_location"]
    if location == default_location(experiment["experiment_id"]):
        return ""
    base, question, query = location.partition("?")
    return f"{base.rstrip('/')}/models/{model_id}/artifacts{question}{query}"


async def _request(door: Door, model_id: str, kind: str, **fields: Any) -> None:
    _check(await request(door, COLLECTION, model_id, kind, **fields), model_id)


def _check(decision: Decision, model_id: str) -> None:
    if decision.outcome == "absent":
        raise unknown_model(model_id)
    if decision.outcome != "done":
        raise Refused("BAD_REQUEST", f"{decision.reason[:1].upper()}{decision.reason[1:]}.")


def _texts(pairs: Iterable[Any], what: str) -> dict[str, str]:
    """Return texts by key. Raises Refused for a key that is given twice, as MLflow does."""
    found: dict[str, str] = {}
    for one in pairs:
        if one.key in found:
            raise Refused("BAD_REQUEST", f"The {what} {one.key!r:.300} is given twice.")
        found[one.key] = one.value
    return found


_OF_MODEL = f"{PATH}/{{model_id}}"
_ID = [string, required]
ROUTES = [
    Route(
        "POST", PATH, "CreateLoggedModel", create_model,
        {"experiment_id": [string, required], "name": [string], "model_type": [string], "source_run_id": [string],
         "params": [array], "tags": [array]},
    ),
    Route("GET", _OF_MODEL, "GetLoggedModel", get_model),
    Route("PATCH", _OF_MODEL, "FinalizeLoggedModel", finalize_model, {"model_id": _ID, "status": [integer, required]}),
    Route("DELETE", _OF_MODEL, "DeleteLoggedModel", delete_model),
    Route(
        "POST", f"{_OF_MODEL}/params", "LogLoggedModelParamsRequest", log_params, {"model_id": _ID, "params": [array]}
    ),
    Route("PATCH", f"{_OF_MODEL}/tags", "SetLoggedModelTags", set_tags, {"tags": [array]}),
    Route("DELETE", f"{_OF_MODEL}/tags/{{tag_key}}", "DeleteLoggedModelTag", delete_tag),
    Route(
        "GET", f"{_OF_MODEL}/artifacts/directories", "ListLoggedModelArtifacts", list_artifacts,
        {"artifact_directory_path": [string]},
    ),
]  # fmt: skip
