"""
Decide which params MLflow accepts, and store the others as tags.

MLflow keeps the first value of a param for good and refuses a whole call that has another value for it, so the params
that a run already has are requested before new ones are sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from consumers.trackers.mlflow.backend import CachedRemoteRun
from consumers.trackers.mlflow.edits import TagChanges
from consumers.trackers.mlflow.mapping_state import MAX_PARAM, MAX_TAG, MappingState, key_of
from consumers.trackers.mlflow.params import Param


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
    values = dict(remote.run.params) if wanted and not remote.is_new else {}
    for param in wanted:
        text = param.text[:MAX_PARAM]
        if param.owns and values.setdefault(param.key, text) == text:
            accepted[param.key] = text
        else:
            written = long_names.get(param.key) or state.name_of(param.key)
            name = f"{param.prefix}{written}@{param.attempt}"
            tags[key_of(name, names)] = param.text[:MAX_TAG]
    return ResolvedParams(accepted, tags, names)
