"""
Find one experiment, as MLflow's `experiment` object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.server.limits import NotTheirs, require_name
from gateway.server.mlflow.caller import CALLER
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, absent, invalid
from gateway.server.mlflow.reading import NotThere
from schemas.bounds import MAX_NAME
from schemas.mapping.mlflow import DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_ID, NOTE_TAG

_END = {"min_offsets": "end"}  # what is not there may be in the rest of the log: others write, too


def experiment_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return MLflow's `experiment` object of an Experiment (schemas/api). Its description is MLflow's note."""
    tags = dict(document["tags"])
    if document["description"]:
        tags.setdefault(NOTE_TAG, document["description"])
    found = {
        "experiment_id": document["experiment_id"],
        "name": document["name"],
        "artifact_location": document["artifact_location"] or default_location(document["experiment_id"]),
        "lifecycle_stage": document["state"],
        "last_update_time": document["updated"] // 1_000,
        "creation_time": document["created"] // 1_000,
        "workspace": "default",
    }
    if tags:
        found["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
    return found


def default_location(experiment_id: str) -> str:
    """Return where artifacts of an experiment are, unless it was created with another place."""
    return f"mlflow-artifacts:/{experiment_id}"


async def find_experiment(door: Door, experiment_id: str) -> dict[str, Any]:
    """
    Return an experiment, also a deleted one. The default one is there before it exists.

    Raises Refused RESOURCE_DOES_NOT_EXIST; INVALID_PARAMETER_VALUE for an id that is no number and names none.
    """
    if experiment_id in ("", ".", ".."):  # in a path these would name another document
        raise no_experiment(experiment_id)
    path = f"/v1/experiments/{quote(experiment_id, safe='', errors='replace')}"
    for newest in ({}, _END):
        try:
            return experiment_json(await door.reader.get(path, **newest))
        except NotThere:
            if experiment_id == DEFAULT_EXPERIMENT_ID:
                return _BEFORE_IT_EXISTS
    raise no_experiment(experiment_id)


async def find_by_name(door: Door, name: str) -> dict[str, Any]:
    """Return the experiment of a name, also a deleted one. Raises Refused RESOURCE_DOES_NOT_EXIST."""
    if len(name) <= MAX_NAME and "\x00" not in name:
        for newest in ({}, _END):
            found = (await door.reader.get("/v1/experiments", state="all", name=name, limit=1, **newest))["experiments"]
            if found:
                return experiment_json(found[0])
    if name == DEFAULT_EXPERIMENT:
        return _BEFORE_IT_EXISTS
    raise absent(f"Could not find experiment with name '{name}'")


async def active_experiment(door: Door, experiment_id: str) -> Mapping[str, Any]:
    """
    Return the experiment of a new run; "" is the default one. It was active at most `KEPT_S` ago.

    Raises Refused as `find_experiment`, and INVALID_PARAMETER_VALUE for a deleted one.
    """
    experiment_id = experiment_id or DEFAULT_EXPERIMENT_ID
    known = door.experiments.get(experiment_id) if CALLER.get() is None else None  # who is limited may not see it
    if known is None:
        known = await find_experiment(door, experiment_id)
        if known["lifecycle_stage"] != "active":
            raise not_active(experiment_id)
        door.experiments.keep(known)
    return known


def require_experiment(name: str) -> None:
    """Raise Refused PERMISSION_DENIED if the caller's token is limited to other experiments."""
    caller = CALLER.get()
    if caller is not None:
        try:
            require_name(caller.identity, name)
        except NotTheirs as error:
            raise Refused("PERMISSION_DENIED", str(error)) from None


def no_experiment(experiment_id: str) -> Refused:
    """Return MLflow's refusal of an id that no experiment has."""
    try:
        return absent(f"No Experiment with id={int(experiment_id)} exists")
    except ValueError:
        return invalid(f"Invalid experiment ID '{experiment_id:.300}'. Experiment ID must be a valid integer.")


def not_active(experiment_id: str) -> Refused:
    """Return MLflow's refusal of a deleted experiment."""
    return invalid(f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted.")


_BEFORE_IT_EXISTS = experiment_json(
    {
        "experiment_id": DEFAULT_EXPERIMENT_ID, "name": DEFAULT_EXPERIMENT, "artifact_location": "", "state": "active",
        "description": "", "tags": {}, "created": 0, "updated": 0,
    }
)  # fmt: skip
