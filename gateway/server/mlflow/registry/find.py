"""
Find one registered model or version, as documents of the query API.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from gateway.client.registry.arguments import LAST_VERSION
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, absent, invalid
from gateway.server.mlflow.protobuf import validate
from gateway.server.mlflow.reading import NotThere


async def find_model(door: Door, name: str) -> dict[str, Any]:
    """Return the ModelDocument of a name. Raises Refused for a name that MLflow refuses, and for one of no model."""
    validate("model_name", name)
    try:
        return await door.reader.get(f"/v1/models/{_part(name)}")
    except NotThere:
        raise no_model(name) from None


async def find_version(door: Door, name: str, version: str | int) -> dict[str, Any]:
    """Return the ModelVersionDocument of a version. Raises Refused like `find_model`."""
    number = version_number(name, version)
    try:
        return await door.reader.get(f"/v1/models/{_part(name)}/versions/{number}")
    except NotThere:
        raise no_version(name, number) from None


async def find_by_alias(door: Door, name: str, alias: str) -> dict[str, Any]:
    """Return the version that an alias names; `latest` is the newest. Raises Refused."""
    validate("model_name", name)
    validate("model_alias_name", alias)
    model = await find_model(door, name)
    if alias.lower() == "latest":
        return newest(name, model["latest"])
    if alias not in model["aliases"]:
        raise invalid(f"Registered model alias {alias} not found.")
    return await find_version(door, name, model["aliases"][alias])


def newest(name: str, versions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one with the highest number. Raises Refused if there is none."""
    if not versions:
        raise absent(f"Latest version not found for model {name}.")
    return max(versions, key=lambda one: int(one["version"]))


def version_number(name: str, version: str | int) -> int:
    """Return the number of a version that may exist. Raises Refused."""
    validate("model_name", name)
    number = int(validate("model_version", version))
    if not 1 <= number <= LAST_VERSION:
        raise no_version(name, number)
    return number


def no_model(name: str) -> Refused:
    """Return MLflow's refusal of a name that no model has."""
    return absent(f"Registered Model with name={name} not found")


def no_version(name: str, version: int) -> Refused:
    """Return MLflow's refusal of a version that does not exist."""
    return absent(f"Model Version (name={name}, version={version}) not found")


def _part(text: str) -> str:
    return quote(text, safe="", errors="replace")
