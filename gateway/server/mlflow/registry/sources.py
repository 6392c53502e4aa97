"""
What a version is made of: check the source of a new one, and find where its files are.

A source must not lead to files of somebody else: one in a run or in a logged model needs the id of that run or model,
and a path on this machine is refused. So it is in mlflow/server/handlers.py. A prompt has no files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from gateway.client.errors import ClientError
from gateway.client.registry.model_uri import parse_model_uri, parse_run_uri
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, invalid
from gateway.server.mlflow.logged_models.model_json import artifact_uri
from gateway.server.mlflow.logged_models.models import read_model
from gateway.server.mlflow.protobuf import check_host
from gateway.server.mlflow.registry.find import find_by_alias, find_model, find_version, newest
from gateway.server.mlflow.registry.shown import is_prompt
from gateway.server.mlflow.run_json import run_info

PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})
_PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class Source(NamedTuple):
    """What a new version records."""

    source: str
    run_id: str
    location: str = ""  # of the files, where `source` names another model


async def checked_source(door: Door, asked: Any, tags: dict[str, str]) -> Source:
    """Return the source of a CreateModelVersion. Raises Refused."""
    source = asked.source
    if is_prompt(tags):
        if source not in PROMPT_SOURCES:
            raise invalid(f"Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder.")
        return Source(source, asked.run_id)
    check_host(source, "source")
    if urlsplit(source).scheme == "models":
        return await _of_a_model(door, asked)
    _check_path(source)
    if asked.model_id:
        model = await _logged_model(door, asked.model_id, source)
        if source.startswith("runs:") or (_is_proxied(source) and not _is_inside(source, artifact_uri(model))):
            raise _foreign(source, "model_id")
        return Source(source, asked.run_id or model["source_run_id"])
    if source.startswith("runs:"):
        parsed = parse_run_uri(source)
        if parsed is None or not asked.run_id or parsed[0] != asked.run_id:
            raise _foreign(source, "run_id")
    elif _is_proxied(source) and not _is_inside(source, await _run_location(door, asked.run_id, source)):
        raise _foreign(source, "run_id")
    return Source(source, asked.run_id)


async def _of_a_model(door: Door, asked: Any) -> Source:
    """Return the source that is a logged model, `models:/m-…`, or a version of a registered one."""
    source, rest = asked.source, asked.source.removeprefix("models:/")
    if urlsplit(source).netloc:
        raise invalid(f"Invalid model version source: '{source}'. It must be in the registry of this server.")
    if rest and "/" not in rest and "@" not in rest:
        if rest != asked.model_id:
            raise _foreign(source, "model_id")
        model = await _logged_model(door, rest, source)
        return Source(source, asked.run_id or model["source_run_id"], artifact_uri(model))
    version = await _named_version(door, source)
    # Versions do not know their logged model, so one that is asked for does not match.
    if (asked.HasField("run_id") and asked.run_id != version["run_id"]) or asked.model_id:
        raise invalid(
            f"Invalid model version source: '{source}'. The run_id and model_id request parameters must match the "
            "referenced model version."
        )
    uri = f"models:/{version['name']}/{version['version']}"
    return Source(uri, version["run_id"], version["location"] or version["source"])


async def _named_version(door: Door, source: str) -> dict[str, Any]:
    try:
        wanted = parse_model_uri(source)
    except ClientError:
        raise _foreign(source, "model_id") from None
    model = await find_model(door, wanted.name)
    if is_prompt(model["tags"]):
        raise invalid(f"Invalid model version source: '{source}'. Prompt versions cannot be used as sources.")
    if wanted.version is not None:
        return await find_version(door, wanted.name, wanted.version)
    if wanted.alias is not None:
        return await find_by_alias(door, wanted.name, wanted.alias)
    return newest(wanted.name, [one for one in model["latest"] if wanted.stage in (None, one["stage"])])


def _check_path(source: str) -> None:
    """Refuse a path on this machine, and one that leads upwards."""
    if urlsplit(source).scheme in ("", "file"):
        raise invalid(
            f"Invalid model version source: '{source}'. To use a local path as a model version source, it has to be "
            "contained within the artifact directory of a run, and artifacts of runs are not on this machine."
        )
    plain = source
    while (shorter := unquote_plus(plain)) != plain:
        plain = shorter
    path = urlsplit(plain).path.rstrip("/")
    while "//" in path:
        path = path.replace("//", "/")
    is_relative = ".." in plain.split("/") or not path.startswith("/") or posixpath.normpath(path) != path
    if is_relative or "\x00" in plain:
        raise invalid(f"Invalid model version source: '{source}'. Its path must be absolute, without relative parts.")


def _is_proxied(source: str) -> bool:
    """Tell whether a URI leads to artifacts that this server gives out."""
    parsed = urlsplit(source)
    return parsed.scheme == "mlflow-artifacts" or (
        parsed.scheme in ("http", "https") and _PROXY in unquote(parsed.path)
    )


def _is_inside(source: str, root: str) -> bool:
    """Tell whether a URI is a place, or below it."""
    here, there = urlsplit(source), urlsplit(root)
    above = [unquote(part) for part in there.path.split("/") if part]
    parts = [unquote(part) for part in here.path.split("/") if part]
    is_one_place = (here.scheme, here.netloc.lower()) == (there.scheme, there.netloc.lower())
    return is_one_place and bool(above) and parts[: len(above)] == above


async def _run_location(door: Door, run_id: str, source: str) -> str:
    found = (await door.reader.post("/v1/runs/documents", {"run_ids": [run_id]}))["runs"] if run_id else []
    if not found:
        raise _foreign(source, "run_id")
    return str(run_info(found[0])["artifact_uri"])


async def _logged_model(door: Door, model_id: str, source: str) -> Mapping[str, Any]:
    try:
        return await read_model(door, model_id)
    except Refused as error:
        raise _foreign(source, "model_id") if error.code == "RESOURCE_DOES_NOT_EXIST" else error from None


def _foreign(source: str, parameter: str) -> Refused:
    return invalid(
        f"Invalid model version source: '{source}'. The {parameter} request parameter must identify the resource that "
        "contains the source."
    )
