"""
Experiments: `gateway.experiments.create("digits")`, `get_by_name`, `search`, `rename`, `delete`, `restore`, ...

An experiment has an id that stays and a name that is its own, also while it is deleted. A run belongs to it by the
experiment's id, or by a `tag` that is its name (seed 001). Each change is an event in the log, and the order of the log
decides: of two processes that create the same name at once one gets it, and the other learns whose it is. The functions
return once that is decided and can be read.

    experiment = gateway.experiments.ensure("digits", description="Handwritten digits")
    with gateway.start_run(experiment=experiment): ...

Standard library only. Errors (gateway/client/errors.py): AlreadyExists, NotFound, IsDeleted, NotDeleted, Undecided
(with its `request_id` the same call can be repeated, and nothing is done twice), ApiUnavailable, and their base
ClientError.
"""

from __future__ import annotations

from gateway.client.errors import AlreadyExists, IsDeleted, NotDeleted, NotFound, RegistryError, Undecided
from gateway.client.ids import uuid7
from gateway.client.registry.arguments import check_id, check_name, check_reference, check_tags, check_text
from gateway.client.registry.connection import Registry, path_of
from gateway.client.registry.outcomes import refusal
from gateway.client.registry.requests import TIMEOUT_S, decide, new_request_id, used_before
from gateway.client.registry.results import Experiment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Literal

__all__ = [
    "AlreadyExists", "Experiment", "IsDeleted", "NotDeleted", "NotFound", "RegistryError", "Undecided", "create",
    "delete", "delete_tag", "describe", "ensure", "get", "get_by_name", "new_request_id", "rename", "restore", "search",
    "set_tags",
]  # fmt: skip


def create(
    name: str,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    artifact_location: str = "",
    experiment_id: str | None = None,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """
    Create an experiment and return it. Raises AlreadyExists if its name is taken, also by a deleted one.

    `artifact_location` is a URI that is kept and shown; its runs store artifacts where GATEWAY_ARTIFACTS says.
    `experiment_id` is an id of your own; by default it is new. `request_id` (`new_request_id()`) makes the call
    repeatable.
    """
    new_id = request_id or uuid7()
    chosen = check_id(experiment_id if experiment_id is not None else new_id, "the id of an experiment")
    body = {
        "kind": "experiment_created",
        "name": check_name(name, "the name of an experiment"),
        "description": check_text(description, "the description"),
        "artifact_location": check_reference(artifact_location, "artifact_location"),
        "tags": check_tags(tags),
    }
    where = registry or Registry()
    made = decide(where, "experiments", chosen, body, request_id, timeout_s, new_id=new_id)
    if made["name"] != name:
        raise used_before(request_id, f"an experiment named {made['name']!r:.100}")
    return get(chosen, registry=where)


def ensure(
    name: str,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    artifact_location: str = "",
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """
    Return the experiment of this name; create it, with these facts, if there is none.

    Raises IsDeleted if the name is that of a deleted experiment.
    """
    where = registry or Registry()
    found = _named(where, check_name(name, "the name of an experiment"))
    if found is None:
        try:
            return create(
                name, description=description, tags=tags, artifact_location=artifact_location, timeout_s=timeout_s,
                registry=where,
            )  # fmt: skip
        except AlreadyExists as error:  # another process was faster
            found = get(error.result["experiment_id"], registry=where)
    if found.is_deleted:
        result = {"experiment_id": found.id, "name": found.name, "deleted": True}
        reason = f"experiment {found.name!r} is deleted"
        raise refusal({"outcome": "deleted", "reason": reason, "collection": "experiments", "result": result})
    return found


def get(experiment_id: Experiment | str, *, registry: Registry | None = None) -> Experiment:
    """Return an experiment by its id, as it is now, also a deleted one. Raises NotFound."""
    path = path_of("experiments", _id_of(experiment_id))
    return Experiment.from_document((registry or Registry()).read(path))


def get_by_name(name: str, *, registry: Registry | None = None) -> Experiment:
    """Return the experiment that has this name now, also a deleted one. Raises NotFound."""
    found = _named(registry or Registry(), check_name(name, "the name of an experiment"))
    if found is None:
        raise NotFound(f"no experiment is named {name!r:.300}: list them with `gateway experiments list`, or create it")
    return found


def search(
    where: str = "",
    *,
    state: Literal["active", "deleted", "all"] = "active",
    limit: int | None = None,
    registry: Registry | None = None,
) -> Iterator[Experiment]:
    """
    Yield experiments, newest first: all active ones, or those that match a filter.

    A filter is written as for runs, with name, description, experiment_id, artifact_location, state, created, updated
    and tags: `search("name like 'vision-%' and tags.team = 'x'", state="all")`.
    """
    rows = (registry or Registry()).pages("/v1/experiments", "experiments", limit, where=where or None, state=state)
    return map(Experiment.from_document, rows)


def rename(
    experiment: Experiment | str,
    name: str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """
    Give an experiment, by its id, another name. Its runs follow, also those that name it by the old one.

    Raises AlreadyExists, NotFound, IsDeleted.
    """
    body = {"kind": "experiment_renamed", "name": check_name(name, "the name of an experiment")}
    return _change(_id_of(experiment), body, request_id, timeout_s, registry)


def describe(
    experiment: Experiment | str,
    description: str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """Replace the description of an experiment. Raises NotFound, IsDeleted."""
    body = {"kind": "experiment_described", "description": check_text(description, "the description")}
    return _change(_id_of(experiment), body, request_id, timeout_s, registry)


def set_tags(
    experiment: Experiment | str,
    tags: Mapping[str, str],
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """Set tags of an experiment; the others stay. Raises NotFound, IsDeleted."""
    return _tag(experiment, check_tags(tags), request_id, timeout_s, registry)


def delete_tag(
    experiment: Experiment | str,
    keys: str | Iterable[str],
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """Remove tags of an experiment; does nothing for those that it does not have. Raises NotFound, IsDeleted."""
    names = [keys] if isinstance(keys, str) else keys
    return _tag(experiment, {check_name(key, "a tag"): None for key in names}, request_id, timeout_s, registry)


def delete(
    experiment: Experiment | str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """Delete an experiment. It keeps its name, its id and its runs, and can be restored. Raises NotFound, IsDeleted."""
    return _change(_id_of(experiment), {"kind": "experiment_deleted"}, request_id, timeout_s, registry)


def restore(
    experiment: Experiment | str,
    *,
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
    registry: Registry | None = None,
) -> Experiment:
    """Make a deleted experiment active again. Raises NotFound, NotDeleted."""
    return _change(_id_of(experiment), {"kind": "experiment_restored"}, request_id, timeout_s, registry)


def _tag(
    experiment: Experiment | str,
    tags: Mapping[str, str | None],
    request_id: str | None,
    timeout_s: float,
    registry: Registry | None,
) -> Experiment:
    if not tags:
        return get(_id_of(experiment), registry=registry)
    return _change(_id_of(experiment), {"kind": "experiment_tags", "tags": tags}, request_id, timeout_s, registry)


def _change(
    experiment_id: str, body: dict[str, Any], request_id: str | None, timeout_s: float, registry: Registry | None
) -> Experiment:
    where = registry or Registry()
    decide(where, "experiments", experiment_id, body, request_id, timeout_s)
    return get(experiment_id, registry=where)


def _id_of(experiment: Experiment | str) -> str:
    return experiment.id if isinstance(experiment, Experiment) else check_id(experiment, "the id of an experiment")


def _named(registry: Registry, name: str) -> Experiment | None:
    rows = list(registry.pages("/v1/experiments", "experiments", 1, name=name, state="all"))
    return Experiment.from_document(rows[0]) if rows else None
