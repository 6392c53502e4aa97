"""
The routes of registered models and versions; what they require follows mlflow/server/handlers.py.
"""

from __future__ import annotations

from typing import Any

from gateway.server.mlflow.protobuf import Schema, array, boolean, integer, required, string, texts
from gateway.server.mlflow.registry import marks, models, searches, versions
from gateway.server.mlflow.routing import Route

_NEEDED = [string, required]
_NAME: Schema = {"name": _NEEDED}
_VERSION: Schema = {**_NAME, "version": _NEEDED}
_ALIAS: Schema = {**_NAME, "alias": _NEEDED}
_KEY: Schema = {"key": _NEEDED}
_LATEST: Schema = {**_NAME, "stages": [array, texts]}
_MODELS, _VERSIONS = "/mlflow/registered-models", "/mlflow/model-versions"


def _at_most(limit: int) -> Any:
    """Return the check of a number."""
    return lambda value: value is None or int(value) <= limit


def _search(most: int) -> Schema:
    return {
        "filter": [string], "max_results": [integer, _at_most(most)], "order_by": [array, texts],
        "page_token": [string],
    }  # fmt: skip


ROUTES = [
    Route(
        "POST", f"{_MODELS}/create", "CreateRegisteredModel", models.create_model,
        {**_NAME, "tags": [array], "description": [string]},
    ),
    Route(
        "POST", f"{_MODELS}/rename", "RenameRegisteredModel", models.rename_model, {**_NAME, "new_name": _NEEDED},
    ),
    Route(
        "PATCH", f"{_MODELS}/update", "UpdateRegisteredModel", models.update_model,
        {**_NAME, "description": [string]},
    ),
    Route("DELETE", f"{_MODELS}/delete", "DeleteRegisteredModel", models.delete_model, _NAME),
    Route("GET", f"{_MODELS}/get", "GetRegisteredModel", models.get_model, _NAME),
    Route("GET", f"{_MODELS}/search", "SearchRegisteredModels", searches.search_models, _search(1_000)),
    Route("GET", f"{_MODELS}/get-latest-versions", "GetLatestVersions", models.get_latest_versions, _LATEST),
    Route("POST", f"{_MODELS}/get-latest-versions", "GetLatestVersions", models.get_latest_versions, _LATEST),
    Route(
        "POST", f"{_MODELS}/set-tag", "SetRegisteredModelTag", marks.set_model_tag,
        {**_NAME, **_KEY, "value": [string]},
    ),
    Route("DELETE", f"{_MODELS}/delete-tag", "DeleteRegisteredModelTag", marks.delete_model_tag, {**_NAME, **_KEY}),
    Route(
        "POST", f"{_MODELS}/alias", "SetRegisteredModelAlias", marks.set_alias, {**_ALIAS, "version": _NEEDED},
    ),
    Route("DELETE", f"{_MODELS}/alias", "DeleteRegisteredModelAlias", marks.delete_alias, _ALIAS),
    Route("GET", f"{_MODELS}/alias", "GetModelVersionByAlias", marks.get_by_alias, _ALIAS),
    Route(
        "POST", f"{_VERSIONS}/create", "CreateModelVersion", versions.create_version,
        {
            **_NAME, "source": _NEEDED, "run_id": [string], "tags": [array], "run_link": [string],
            "description": [string], "model_id": [string],
        },
    ),
    Route(
        "PATCH", f"{_VERSIONS}/update", "UpdateModelVersion", versions.update_version,
        {**_VERSION, "description": [string]},
    ),
    Route(
        "POST", f"{_VERSIONS}/transition-stage", "TransitionModelVersionStage", versions.transition_stage,
        {**_VERSION, "stage": _NEEDED, "archive_existing_versions": [boolean]},
    ),
    Route("DELETE", f"{_VERSIONS}/delete", "DeleteModelVersion", versions.delete_version, _VERSION),
    Route("GET", f"{_VERSIONS}/get", "GetModelVersion", versions.get_version, _VERSION),
    Route("GET", f"{_VERSIONS}/search", "SearchModelVersions", searches.search_versions, _search(200_000)),
    Route("GET", f"{_VERSIONS}/get-download-uri", "GetModelVersionDownloadUri", versions.get_download_uri),
    Route(
        "POST", f"{_VERSIONS}/set-tag", "SetModelVersionTag", marks.set_version_tag,
        {**_VERSION, **_KEY, "value": [string]},
    ),
    Route("DELETE", f"{_VERSIONS}/delete-tag", "DeleteModelVersionTag", marks.delete_version_tag, {**_VERSION, **_KEY}),
]  # fmt: skip
