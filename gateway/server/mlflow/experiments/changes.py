"""
Create, change, delete and restore experiments. Each is one request, whose outcome becomes MLflow's answer.

Rules, codes and words are those of mlflow/store/tracking/sqlalchemy_store.py. To rename a deleted experiment is refused
with 400: MLflow answers 500, which its clients repeat for minutes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, absent, invalid
from gateway.server.mlflow.experiments.find import find_experiment, no_experiment, not_active, require_experiment
from gateway.server.mlflow.experiments.locations import check_location
from gateway.server.mlflow.protobuf import validate
from gateway.server.mlflow.requests import Decision, request
from gateway.server.mlflow.routing import Call

ID_DIGITS = 18  # MLflow's tools take ids for numbers of 64 bits


async def create_experiment(door: Door, call: Call) -> Mapping[str, Any]:
    """Create an experiment under a new id."""
    asked = call.message
    if asked.artifact_location:
        check_location(asked.artifact_location)
    validate("experiment_name", asked.name)
    require_experiment(asked.name)
    for tag in asked.tags:
        validate("experiment_tag", tag.key, tag.value)
    experiment_id = str(secrets.choice(range(10 ** (ID_DIGITS - 1), 10**ID_DIGITS)))
    decision = await request(
        door,
        "experiments",
        experiment_id,
        "experiment_created",
        is_new_id=True,
        name=asked.name,
        artifact_location=asked.artifact_location,
        tags={tag.key: tag.value for tag in asked.tags},
    )
    if decision.outcome != "done":
        raise _taken(asked.name, decision)
    return {"experiment_id": decision.subject_id}


async def rename_experiment(door: Door, call: Call) -> Mapping[str, Any]:
    """Give an experiment another name."""
    experiment_id, name = call.message.experiment_id, call.message.new_name
    validate("experiment_name", name)
    decision = await _change(door, experiment_id, "experiment_renamed", name=name)
    if decision.outcome == "deleted":
        raise invalid("Cannot rename a non-active experiment.")
    if decision.outcome == "exists":
        raise Refused("BAD_REQUEST", _taken(name, decision).message)
    return _done(experiment_id, decision)


async def delete_experiment(door: Door, call: Call) -> Mapping[str, Any]:
    """Delete an experiment, with its runs; it can be restored."""
    return await _move(door, call.message.experiment_id, "experiment_deleted", refused="deleted")


async def restore_experiment(door: Door, call: Call) -> Mapping[str, Any]:
    """Restore a deleted experiment, with its runs."""
    return await _move(door, call.message.experiment_id, "experiment_restored", refused="active")


async def set_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """Set a tag of an active experiment."""
    asked = call.message
    validate("experiment_tag", asked.key, asked.value)
    return _done(
        asked.experiment_id,
        await _change(door, asked.experiment_id, "experiment_tags", tags={asked.key: asked.value}),
    )


async def delete_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """Remove a tag of an active experiment."""
    asked = call.message
    found = await find_experiment(door, asked.experiment_id)
    if found["lifecycle_stage"] != "active":
        raise not_active(asked.experiment_id)
    if all(tag["key"] != asked.key for tag in found.get("tags", ())):
        raise absent(f"No tag with name: {asked.key} in experiment with id {asked.experiment_id}")
    return _done(
        asked.experiment_id, await _change(door, asked.experiment_id, "experiment_tags", tags={asked.key: None})
    )


async def _move(door: Door, experiment_id: str, kind: str, *, refused: str) -> Mapping[str, Any]:
    """Delete or restore an experiment. Its runs follow it, so the stages of those that are known are read again."""
    decision = await _change(door, experiment_id, kind)
    if decision.outcome == refused:
        raise no_experiment(experiment_id)
    answer = _done(experiment_id, decision)
    await door.runs.known.refresh(experiment_id)
    return answer


async def _change(door: Door, experiment_id: str, kind: str, **fields: Any) -> Decision:
    decision = await request(door, "experiments", experiment_id, kind, **fields)
    door.experiments.forget(experiment_id)
    return decision


def _done(experiment_id: str, decision: Decision) -> Mapping[str, Any]:
    if decision.outcome == "absent":
        raise no_experiment(experiment_id)
    if decision.outcome == "deleted":
        raise not_active(experiment_id)
    if decision.outcome != "done":
        raise invalid(decision.reason)
    return {}


def _taken(name: str, decision: Decision) -> Refused:
    return Refused("RESOURCE_ALREADY_EXISTS", f"Experiment(name={name}) already exists. Error: {decision.reason}")
