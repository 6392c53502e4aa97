"""
Registered models and their versions: `gateway.models.create_version("digits", source=uri, register_model=True)`, ...

A model is known by its name. Its versions are numbered from 1 in the order of the log, and a number is not used again
while the model exists. A version has the URI of its files, a stage (None, Staging, Production, Archived: those of seed
004), tags and any number of aliases. A deleted model is gone with its versions, and its name is free. Each change is an
event in the log, and the functions return once it is decided and can be read.

    version = gateway.models.create_version("digits", source=uri, run_id=run.id, register_model=True)
    gateway.models.set_stage("digits", version.version, "Production", archive_existing=True)
    gateway.models.resolve("models:/digits/Production").source

Standard library only. Errors are those of gateway/experiments.py.
"""

from __future__ import annotations

from gateway.client.errors import AlreadyExists, NotFound, RegistryError, Undecided
from gateway.client.registry.arguments import (
    check_name,
    check_reference,
    check_stage,
    check_tags,
    check_text,
    check_version,
)
from gateway.client.registry.connection import Registry, path_of
from gateway.client.registry.model_uri import parse_model_uri, parse_run_uri
from gateway.client.registry.requests import TIMEOUT_S, decide, new_request_id, used_before
from gateway.client.registry.results import Model, ModelVersion

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from gateway import artifacts as stored

__all__ = [
    "AlreadyExists", "Model", "ModelVersion", "NotFound", "RegistryError", "Undecided", "create_version", "delete",
    "delete_alias", "delete_tag", "delete_version", "describe", "download", "get", "get_by_alias", "get_version",
    "latest", "load",
    "new_request_id", "register", "rename", "resolve", "search", "search_versions", "set_alias", "set_stage",
    "set_tags", "versions",
]  # fmt: skip


def register(
    name: str,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Register a model under its name and return it. Raises AlreadyExists."""
    body = {
        "kind": "model_registered",
        "description": check_text(description, "the description"),
        "tags": check_tags(tags),
    }
    return _change(name, body, request_id, timeout_s, registry)


def create_version(  # noqa: PLR0913 -- all but two have a default
    name: str,
    source: str,
    *,
    run_id: str = "",
    description: str = "",
    tags: Mapping[str, str] | None = None,
    register_model: bool = False,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> ModelVersion:
    """
    Give a model its next version and return it. Raises NotFound if there is no such model.

    `source` is the URI of its files, `run_id` the run that stored them. With `register_model` the model is registered
    first if there is none. A call that has to be repeated should have a `request_id` (`new_request_id()`): without it,
    a repetition makes another version.
    """
    body = {
        "kind": "model_version_created",
        "source": check_text(source, "the source of a version"),
        "run_id": check_reference(run_id, "run_id"),
        "description": check_text(description, "the description"),
        "tags": check_tags(tags),
        "register_model": bool(register_model),
    }
    name, where = check_name(name, "the name of a model"), registry or Registry()
    made = decide(where, "models", name, body, request_id, timeout_s)
    found = get_version(name, made["version"], registry=where)
    if (found.source, found.run_id) != (source, run_id):
        raise used_before(request_id, f"version {found.version} with the source {found.source!r:.200}")
    return found


def get(name: str, *, registry: Registry | None = None) -> Model:
    """Return a model, with its aliases and the newest version of each stage. Raises NotFound."""
    return Model.from_document(
        (registry or Registry()).read(path_of("models", check_name(name, "the name of a model")))
    )


def get_version(name: str, version: int | str, *, registry: Registry | None = None) -> ModelVersion:
    """Return a version of a model by its number. Raises NotFound."""
    number, where = check_version(version), registry or Registry()
    found = where.read(path_of("models", check_name(name, "the name of a model"), "versions", number))
    return ModelVersion.from_document(found)


def get_by_alias(name: str, alias: str, *, registry: Registry | None = None) -> ModelVersion:
    """Return the version that an alias of a model names. Raises NotFound."""
    found = next(_versions(registry, name, 1, alias=check_name(alias, "an alias")), None)
    if found is None:
        raise NotFound(
            f"model {name!r:.300} has no alias {alias!r:.300}: see what it has with `gateway models show {name:.300}`"
        )
    return found


def latest(name: str, stages: Iterable[str] | str = (), *, registry: Registry | None = None) -> list[ModelVersion]:
    """Return the newest version of each stage, or of these stages; [] for none. Raises NotFound without the model."""
    wanted = {check_stage(stage) for stage in ([stages] if isinstance(stages, str) else stages)}
    return [one for one in get(name, registry=registry).latest if not wanted or one.stage in wanted]


def versions(name: str, *, limit: int | None = None, registry: Registry | None = None) -> Iterator[ModelVersion]:
    """Yield the versions of a model, the newest first; none without the model."""
    return _versions(registry, name, limit)


def search(where: str = "", *, limit: int | None = None, registry: Registry | None = None) -> Iterator[Model]:
    """
    Yield registered models, newest first: all, or those that match a filter.

    A filter is written as for runs, with name, description, created, updated and tags: `name ilike '%digits%'`.
    """
    rows = (registry or Registry()).pages("/v1/models", "models", limit, where=where or None)
    return map(Model.from_document, rows)


def search_versions(
    where: str = "", *, name: str | None = None, limit: int | None = None, registry: Registry | None = None
) -> Iterator[ModelVersion]:
    """
    Yield versions of all models, or of one, newest first, that match a filter.

    Its facts are name, version, stage, alias, run_id, source, description, created, updated and tags:
    `search_versions("run_id = 'RUN' and tags.passed = 'yes'")`.
    """
    rows = (registry or Registry()).pages("/v1/model-versions", "versions", limit, where=where or None, name=name)
    return map(ModelVersion.from_document, rows)


def resolve(uri: str, *, registry: Registry | None = None) -> ModelVersion:
    """
    Return the version that a URI names: `models:/digits/3`, `/Production`, `/latest`, or `models:/digits@alias`.

    A stage means its newest version (seed 004). Raises NotFound, and ClientError for another form.
    """
    named = parse_model_uri(uri)
    if named.version is not None:
        return get_version(named.name, named.version, registry=registry)
    if named.alias is not None:
        return get_by_alias(named.name, named.alias, registry=registry)
    found = latest(named.name, (named.stage,) if named.stage else (), registry=registry)
    if not found:
        what = f"version in stage {named.stage}" if named.stage else "version"
        raise NotFound(
            f"model {named.name!r:.300} has no {what}: see what it has with `gateway models versions {named.name:.300}`"
        )
    return max(found, key=lambda one: one.version)


def download(
    uri: str,
    dst: str | os.PathLike[str] = ".",
    *,
    progress: stored.Progress | None = None,
    registry: Registry | None = None,
) -> str:
    """
    Download the files of a version to their path below the folder `dst`, and return where they are.

    They are artifacts of a run (`runs:/RUN/path` as the source of the version, or the URI of an artifact of its run),
    and are downloaded and checked as `gateway.artifacts.download` does. Raises NotFound, and ArtifactError if they are
    not artifacts, or their bytes cannot be had.
    """
    from gateway import artifacts

    where = registry or Registry()
    run_id, path = _files_of(resolve(uri, registry=where), where)
    return artifacts.download(run_id, path, dst, progress=progress, api=where.api)


def load(uri: str, file: str = "", *, registry: Registry | None = None) -> bytes:
    """
    Return the bytes of a version that is one file, or of one `file` in its folder, checked by their SHA-256.

    `pickle.loads(gateway.models.load("models:/digits/Production"))`; unpickle only what you trust. Raises as `download`
    does.
    """
    from gateway import artifacts

    where = registry or Registry()
    run_id, path = _files_of(resolve(uri, registry=where), where)
    with artifacts.open(run_id, f"{path}/{file}" if path and file else path or file, api=where.api) as found:
        return bytes(found.read())


def _files_of(version: ModelVersion, registry: Registry) -> tuple[str, str]:
    """Return the run and the path in it that a version's source names. Raises ArtifactError."""
    from gateway import artifacts

    if named := parse_run_uri(version.source):
        return named
    if version.run_id:
        listed = artifacts.list(version.run_id, recursive=True, api=registry.api)
        if found := next((one for one in listed if one.uri == version.source), None):
            return version.run_id, found.path
    raise artifacts.ArtifactError(
        f"the files of version {version.version} of model {version.name!r:.200} are at {version.source!r:.300}, and "
        "are no artifacts of a run: fetch them from there, or create a version with the source runs:/RUN/PATH"
    )


def rename(
    name: str,
    new: str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Give a model another name; its versions and aliases stay with it. Raises AlreadyExists, NotFound."""
    new, where = check_name(new, "the new name of a model"), registry or Registry()
    body = {"kind": "model_renamed", "name": new}
    decide(where, "models", check_name(name, "the name of a model"), body, request_id, timeout_s)
    return get(new, registry=where)


def describe(
    name: str,
    description: str,
    *,
    version: int | str | None = None,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Replace the description of a model, or of one `version`; return the model. Raises NotFound."""
    body = {"description": check_text(description, "the description")}
    body = _about("described", body, version)
    return _change(name, body, request_id, timeout_s, registry)


def set_tags(
    name: str,
    tags: Mapping[str, str],
    *,
    version: int | str | None = None,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Set tags of a model, or of one `version`; the others stay. Return the model. Raises NotFound."""
    return _tag(name, check_tags(tags), version, request_id, timeout_s, registry)


def delete_tag(
    name: str,
    keys: str | Iterable[str],
    *,
    version: int | str | None = None,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Remove tags of a model, or of one `version`; does nothing for those that it does not have. Raises NotFound."""
    names = [keys] if isinstance(keys, str) else keys
    return _tag(name, {check_name(key, "a tag"): None for key in names}, version, request_id, timeout_s, registry)


def set_stage(
    name: str,
    version: int | str,
    stage: str,
    *,
    archive_existing: bool = False,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> ModelVersion:
    """
    Move a version to a stage: None, Staging, Production or Archived, in any case. Raises NotFound.

    With `archive_existing`, the other versions in that stage are archived, by the same event.
    """
    body = {"stage": check_stage(stage), "archive_existing": bool(archive_existing)}
    return _change_version(name, version, "stage", body, request_id, timeout_s, registry)


def set_alias(
    name: str,
    alias: str,
    version: int | str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Let an alias name a version; it names no other any more. Return the model. Raises NotFound."""
    body = {"kind": "model_alias_set", "alias": check_name(alias, "an alias"), "version": check_version(version)}
    return _change(name, body, request_id, timeout_s, registry)


def delete_alias(
    name: str,
    alias: str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Delete an alias of a model; return the model. Raises NotFound."""
    body = {"kind": "model_alias_deleted", "alias": check_name(alias, "an alias")}
    return _change(name, body, request_id, timeout_s, registry)


def delete_version(
    name: str,
    version: int | str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Model:
    """Delete a version with its aliases; return the model. Its number is not used again. Raises NotFound."""
    return _change(name, _about("deleted", {}, check_version(version)), request_id, timeout_s, registry)


def delete(
    name: str, *, request_id: str | None = None, timeout_s: float = TIMEOUT_S, registry: Registry | None = None
) -> None:
    """Delete a model with its versions and aliases; its name is free then. Raises NotFound."""
    where = registry or Registry()
    decide(where, "models", check_name(name, "the name of a model"), {"kind": "model_deleted"}, request_id, timeout_s)


def _about(what: str, body: dict[str, Any], version: int | str | None) -> dict[str, Any]:
    """Return the body of an event about a model, or about one of its versions."""
    if version is None:
        return {"kind": f"model_{what}", **body}
    return {"kind": f"model_version_{what}", "version": check_version(version), **body}


def _tag(
    name: str,
    tags: Mapping[str, str | None],
    version: int | str | None,
    request_id: str | None,
    timeout_s: float,
    registry: Registry | None,
) -> Model:
    if not tags:
        return get(name, registry=registry)
    return _change(name, _about("tags", {"tags": tags}, version), request_id, timeout_s, registry)


def _change(
    name: str, body: dict[str, Any], request_id: str | None, timeout_s: float, registry: Registry | None
) -> Model:
    name, where = check_name(name, "the name of a model"), registry or Registry()
    decide(where, "models", name, body, request_id, timeout_s)
    return get(name, registry=where)


def _change_version(
    name: str,
    version: int | str,
    what: str,
    body: dict[str, Any],
    request_id: str | None,
    timeout_s: float,
    registry: Registry | None,
) -> ModelVersion:
    name, number, where = check_name(name, "the name of a model"), check_version(version), registry or Registry()
    decide(where, "models", name, _about(what, body, number), request_id, timeout_s)
    return get_version(name, number, registry=where)


def _versions(registry: Registry | None, name: str, limit: int | None, **given: Any) -> Iterator[ModelVersion]:
    path = path_of("models", check_name(name, "the name of a model"), "versions")
    return map(ModelVersion.from_document, (registry or Registry()).pages(path, "versions", limit, **given))
