"""
Search registered models and versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.registry.shown import model_json, version_json
from gateway.server.mlflow.routing import Call
from gateway.server.mlflow.search.registry_lists import question, search


async def search_models(door: Door, call: Call) -> Mapping[str, Any]:
    """Return a page of models, by name unless another order is asked for; prompts only if they are asked for."""
    asked = call.message
    what = question("models", asked.filter, asked.order_by, asked.page_token)
    if asked.max_results < 1:
        return {}
    found, token = await search(door, "/v1/models", "models", what, asked.max_results, latest="true")
    return _page("registered_models", [model_json(one) for one in found], token)


async def search_versions(door: Door, call: Call) -> Mapping[str, Any]:
    """Return a page of versions of all models, those that changed last first unless another order is asked for."""
    asked, count = call.message, call.message.max_results
    if count < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {count}")
    what = question("model_versions", asked.filter, asked.order_by, asked.page_token)
    found, token = await search(door, "/v1/model-versions", "versions", what, count)
    return _page("model_versions", [version_json(one, aliases=False) for one in found], token)


def _page(rows: str, found: list[dict[str, Any]], token: str | None) -> Mapping[str, Any]:
    return {**({rows: found} if found else {}), **({"next_page_token": token} if token else {})}
