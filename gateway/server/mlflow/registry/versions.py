"""
Create, describe, stage, delete and get versions of registered models.

Rules, codes and words are those of mlflow/store/model_registry/sqlalchemy_store.py. To archive the other versions of a
stage that is not active is refused with 400: MLflow answers 500, which its clients repeat for minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.logged_models.models import read_model
from gateway.server.mlflow.protobuf import validate
from gateway.server.mlflow.registry.find import find_version, no_version, version_number
from gateway.server.mlflow.registry.models import done_or_absent
from gateway.server.mlflow.registry.shown import ACTIVE_STAGES, stage_of, version_json
from gateway.server.mlflow.registry.sources import checked_source
from gateway.server.mlflow.requests import Decision, request
from gateway.server.mlflow.routing import Call

VERSIONS_TAG = "mlflow.modelVersions"  # of a logged model: JSON, the versions that were made of it


async def create_version(door: Door, call: Call) -> Mapping[str, Any]:
    """Give a model its next version."""
    asked = call.message
    tags = {tag.key: tag.value for tag in asked.tags}
    found = await checked_source(door, asked, tags)
    validate("model_name", asked.name)
    for tag in asked.tags:
        validate("model_version_tag", tag.key, tag.value)
    decision = await request(
        door,
        "models",
        asked.name,
        "model_version_created",
        source=found.source,
        run_id=found.run_id,
        run_link=asked.run_link,
        location=found.location,
        description=asked.description,
        tags=tags,
    )
    done_or_absent(asked.name, decision)
    version = decision.result["version"]
    if asked.model_id:
        await _tell_logged_model(door, asked.model_id, asked.name, version)
    return await _answer(door, asked.name, version)


async def update_version(door: Door, call: Call) -> Mapping[str, Any]:
    """Describe a version."""
    asked, number = call.message, version_number(call.message.name, call.message.version)
    fields = {"version": number, "description": asked.description}
    version_done(asked.name, number, await request(door, "models", asked.name, "model_version_described", **fields))
    return await _answer(door, asked.name, number)


async def transition_stage(door: Door, call: Call) -> Mapping[str, Any]:
    """Give a version a stage, and archive the others of that stage if it is asked for."""
    asked, stage = call.message, stage_of(call.message.stage)
    if asked.archive_existing_versions and stage not in ACTIVE_STAGES:
        raise invalid(
            f"Model version transition cannot archive existing model versions because '{asked.stage}' is not an Active "
            f"stage. Valid stages are {list(ACTIVE_STAGES)}"
        )
    number = version_number(asked.name, asked.version)
    fields = {"version": number, "stage": stage, "archive_existing": asked.archive_existing_versions}
    version_done(asked.name, number, await request(door, "models", asked.name, "model_version_stage", **fields))
    return await _answer(door, asked.name, number)


async def delete_version(door: Door, call: Call) -> Mapping[str, Any]:
    """Delete a version; its number is not used again."""
    name, number = call.message.name, version_number(call.message.name, call.message.version)
    version_done(name, number, await request(door, "models", name, "model_version_deleted", version=number))
    return {}


async def get_version(door: Door, call: Call) -> Mapping[str, Any]:
    """Return a version."""
    return await _answer(door, call.message.name, call.message.version)


async def get_download_uri(door: Door, call: Call) -> Mapping[str, Any]:
    """Return where the files of a version are."""
    found = await find_version(door, call.message.name, call.message.version)
    return {"artifact_uri": found["location"] or found["source"]}


def version_done(name: str, number: int, decision: Decision) -> None:
    """Raise Refused for a request about a version that was not done."""
    if decision.outcome == "absent":
        raise no_version(name, number)
    if decision.outcome != "done":
        raise invalid(decision.reason)


async def _answer(door: Door, name: str, version: str | int) -> Mapping[str, Any]:
    return {"model_version": version_json(await find_version(door, name, version))}


async def _tell_logged_model(door: Door, model_id: str, name: str, version: int) -> None:
    """Add a version to the tag of the logged model that it was made of."""
    model = await read_model(door, model_id, allow_deleted=True)
    try:
        known = json.loads(model["tags"].get(VERSIONS_TAG, "[]"))
    except ValueError:
        known = []
    made = {"name": name, "version": version}
    if isinstance(known, list) and made not in known:
        text = json.dumps([*known, made])
        await request(door, "logged_models", model_id, "logged_model_tags", tags={VERSIONS_TAG: text})
