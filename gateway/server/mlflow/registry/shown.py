"""
Registered models and versions as MLflow's objects. Pure.

MLflow tells the aliases of a version only where one version is asked for; in lists, those of its model have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.search.registry_lists import PROMPT_TAG

STAGES = ("None", "Staging", "Production", "Archived")
ACTIVE_STAGES = ("Staging", "Production")


def model_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return MLflow's `registered_model` object of a ModelDocument (schemas/api)."""
    found: dict[str, Any] = {
        "name": document["name"],
        "creation_timestamp": document["created"] // 1_000,
        "last_updated_timestamp": document["updated"] // 1_000,
    }
    if document["description"]:
        found["description"] = document["description"]
    if latest := document["latest"]:
        found["latest_versions"] = [version_json(one, aliases=False) for one in latest]
    if document["tags"]:
        found["tags"] = _pairs(document["tags"])
    if aliases := document["aliases"]:
        found["aliases"] = [{"alias": alias, "version": str(version)} for alias, version in aliases.items()]
    return found


def version_json(document: Mapping[str, Any], *, aliases: bool = True) -> dict[str, Any]:
    """Return MLflow's `model_version` object of a ModelVersionDocument (schemas/api)."""
    found: dict[str, Any] = {
        "name": document["name"],
        "version": str(document["version"]),
        "creation_timestamp": document["created"] // 1_000,
        "last_updated_timestamp": document["updated"] // 1_000,
        "current_stage": document["stage"],
        "description": document["description"],
        "source": document["source"],
        "run_id": document["run_id"],
        "status": "READY",
        "run_link": document["run_link"],
    }
    if document["tags"]:
        found["tags"] = _pairs(document["tags"])
    if aliases and document["aliases"]:
        found["aliases"] = document["aliases"]
    return found


def stage_of(text: str) -> str:
    """Return a stage as MLflow writes it, whatever its case. Raises Refused."""
    found = next((one for one in STAGES if one.lower() == text.lower()), None)
    if found is None:
        raise invalid(f"Invalid Model Version stage: {text:.300}. Value must be one of {', '.join(STAGES)}.")
    return found


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Tell whether a model, or a version, with these tags is a prompt."""
    return tags.get(PROMPT_TAG, "false").lower() == "true"


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
