"""
Decide which params MLflow accepts, and store the others as tags.

MLflow keeps the first value of a param for good and refuses a whole call that has another value for it, so the params
that a run already has are requested before new ones are sent. Later values are tags `gw.param.<name>@<attempt>`, of
which the one with the highest attempt is the value of the parameter; a parameter that has such a tag gets one for every
later value, also if it is that of the param again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from consumers.trackers.mlflow.backend import CachedRemoteRun
from consumers.trackers.mlflow.edits import TagChanges
from consumers.trackers.mlflow.mapping_state import MappingState, key_of
from consumers.trackers.mlflow.params import PARAM_TAG, VALUE_TAG, Param
from schemas.mapping.mlflow import MAX_PARAM, MAX_TAG


class ResolvedParams(NamedTuple):
    """Params that MLflow accepts, the others as tags, and the names that were too long for those tags, by key."""

    params: dict[str, str]
    tags: TagChanges
    names: dict[str, str]


def resolve(
    wanted: Sequence[Param], remote: CachedRemoteRun, long_names: Mapping[str, str], state: MappingState
) -> ResolvedParams:
    """Divide params into those that MLflow accepts and those that become tags `gw.param.<name>@<attempt>`."""
    accepted: dict[str, str] = {}
    tags: TagChanges = {}
    names: dict[str, str] = {}
    values, changed = dict[str, str](), set[str]()  # of params; names of parameters and observations with such tags
    if wanted and not remote.is_new:
        values = dict(remote.run.params)
        written_tags = (state.name_of(key, remote.run.tags) for key in remote.run.tags)
        changed = {name.rpartition("@")[0] for name in written_tags if name.startswith((PARAM_TAG, VALUE_TAG))}
    for param in wanted:
        text = param.text[:MAX_PARAM]
        name = f"{param.prefix}{long_names.get(param.key) or state.name_of(param.key)}"
        if param.owns and values.setdefault(param.key, text) == text:
            accepted[param.key] = text
            if name not in changed:
                continue
        changed.add(name)
        tags[key_of(f"{name}@{param.attempt}", names)] = param.text[:MAX_TAG]
    return ResolvedParams(accepted, tags, names)


def changed_params(tags: Mapping[str, str], state: MappingState) -> dict[str, str]:
    """Return the values of parameters that are in tags of a run, because the params have earlier ones."""
    values: dict[str, str] = {}
    attempts: dict[str, int] = {}
    for key, text in tags.items():
        name, sign, attempt = state.name_of(key, tags).removeprefix(PARAM_TAG).rpartition("@")
        if key.startswith(PARAM_TAG) and sign and attempt.isdecimal() and int(attempt) >= attempts.get(name, 0):
            values[name], attempts[name] = text, int(attempt)
    return values
