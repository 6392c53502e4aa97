"""
Create, rename, describe, delete and get registered models.

Rules, codes and words are those of mlflow/store/model_registry/sqlalchemy_store.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, invalid
from gateway.server.mlflow.protobuf import validate
from gateway.server.mlflow.registry.find import find_model, no_model
from gateway.server.mlflow.registry.shown import STAGES, is_prompt, model_json, stage_of, version_json
from gateway.server.mlflow.requests import Decision, request
from gateway.server.mlflow.routing import Call


async def create_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Register a model, or a prompt."""
    asked = call.message
    validate("model_name", asked.name)
    for tag in asked.tags:
        validate("registered_model_tag", tag.key, tag.value)
    tags = {tag.key: tag.value for tag in asked.tags}
    decision = await request(door, "models", asked.name, "model_registered", description=asked.description, tags=tags)
    if decision.outcome == "exists":
        raise _taken(asked.name, is_new_prompt=is_prompt(tags), known=await find_model(door, asked.name))
    return await _answer(door, asked.name, decision)


async def rename_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Give a model another name; its versions and aliases move with it."""
    name, new_name = call.message.name, call.message.new_name
    validate("model_renaming", new_name)
    validate("model_name", name)
    decision = await request(door, "models", name, "model_renamed", name=new_name)
    if decision.outcome == "exists":
        message = f"Registered Model (name={new_name}) already exists. Error: {decision.reason}"
        raise Refused("RESOURCE_ALREADY_EXISTS", message)
    return await _answer(door, name, decision, shown=new_name)


async def update_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Describe a model."""
    asked = call.message
    validate("model_name", asked.name)
    decision = await request(door, "models", asked.name, "model_described", description=asked.description)
    return await _answer(door, asked.name, decision)


async def delete_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Delete a model with its versions."""
    validate("model_name", call.message.name)
    done_or_absent(call.message.name, await request(door, "models", call.message.name, "model_deleted"))
    return {}


async def get_model(door: Door, call: Call) -> Mapping[str, Any]:
    """Return a model with the newest version of each stage."""
    return {"registered_model": model_json(await find_model(door, call.message.name))}


async def get_latest_versions(door: Door, call: Call) -> Mapping[str, Any]:
    """Return the newest version of each stage that is asked for."""
    model = await find_model(door, call.message.name)
    stages = {stage_of(one) for one in call.message.stages or STAGES}
    found = [version_json(one) for one in model["latest"] if one["stage"] in stages]
    return {"model_versions": found} if found else {}


def done_or_absent(name: str, decision: Decision) -> None:
    """Raise Refused for a request about a model that was not done."""
    if decision.outcome == "absent":
        raise no_model(name)
    if decision.outcome != "done":
        raise invalid(decision.reason)


async def _answer(door: Door, name: str, decision: Decision, shown: str = "") -> Mapping[str, Any]:
    done_or_absent(name, decision)
    return {"registered_model": model_json(await find_model(door, shown or name))}


def _taken(name: str, *, is_new_prompt: bool, known: Mapping[str, Any]) -> Refused:
    new, old = ("Prompt" if one else "Registered Model" for one in (is_new_prompt, is_prompt(known["tags"])))
    message = f"{new} (name={name}) already exists."
    if new != old:
        message = (
            f"Tried to create a {new.lower()} with name {name!r}, but the name is already taken by a {old.lower()}. "
            "MLflow does not allow creating a model and a prompt with the same name."
        )
    return Refused("RESOURCE_ALREADY_EXISTS", message)
