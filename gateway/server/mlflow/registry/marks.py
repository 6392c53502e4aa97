"""
Tags of registered models and versions, and aliases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.protobuf import validate
from gateway.server.mlflow.registry.find import find_by_alias, version_number
from gateway.server.mlflow.registry.models import done_or_absent
from gateway.server.mlflow.registry.shown import version_json
from gateway.server.mlflow.registry.versions import version_done
from gateway.server.mlflow.requests import request
from gateway.server.mlflow.routing import Call


async def set_model_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """Set a tag of a model."""
    asked = call.message
    validate("model_name", asked.name)
    validate("registered_model_tag", asked.key, asked.value)
    return await _tag_model(door, asked.name, {asked.key: asked.value})


async def delete_model_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """Remove a tag of a model, if it has it."""
    validate("model_name", call.message.name)
    validate("tag_name", call.message.key)
    return await _tag_model(door, call.message.name, {call.message.key: None})


async def set_version_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """Set a tag of a version."""
    asked, number = call.message, version_number(call.message.name, call.message.version)
    validate("model_version_tag", asked.key, asked.value)
    return await _tag_version(door, asked.name, number, {asked.key: asked.value})


async def delete_version_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """Remove a tag of a version, if it has it."""
    number = version_number(call.message.name, call.message.version)
    validate("tag_name", call.message.key)
    return await _tag_version(door, call.message.name, number, {call.message.key: None})


async def set_alias(door: Door, call: Call) -> Mapping[str, Any]:
    """Let an alias name a version."""
    name, alias = call.message.name, call.message.alias
    validate("model_name", name)
    validate("model_alias_name", alias)
    validate("model_alias_name_reserved", alias)
    number = version_number(name, call.message.version)
    fields: dict[str, Any] = {"alias": alias, "version": number}
    version_done(name, number, await request(door, "models", name, "model_alias_set", **fields))
    return {}


async def delete_alias(door: Door, call: Call) -> Mapping[str, Any]:
    """Delete an alias, if the model has it."""
    name, alias = call.message.name, call.message.alias
    validate("model_name", name)
    validate("model_alias_name", alias)
    decision = await request(door, "models", name, "model_alias_deleted", alias=alias)
    if decision.result.get("name") != name:  # there is such a model, without such an alias
        done_or_absent(name, decision)
    return {}


async def get_by_alias(door: Door, call: Call) -> Mapping[str, Any]:
    """Return the version that an alias names."""
    return {"model_version": version_json(await find_by_alias(door, call.message.name, call.message.alias))}


async def _tag_model(door: Door, name: str, tags: Mapping[str, str | None]) -> Mapping[str, Any]:
    done_or_absent(name, await request(door, "models", name, "model_tags", tags=tags))
    return {}


async def _tag_version(door: Door, name: str, number: int, tags: Mapping[str, str | None]) -> Mapping[str, Any]:
    fields: dict[str, Any] = {"version": number, "tags": tags}
    version_done(name, number, await request(door, "models", name, "model_version_tags", **fields))
    return {}
