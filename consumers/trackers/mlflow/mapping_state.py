"""
What a run's rows in MLflow do not express, and a read-back needs: kept with the checkpoint.

Pure. It follows from the log alone, never from what the server holds, so the same events always give the same state.
The state is written with every call, so it does not grow with the run: it holds at most MAX_KEPT entries of each kind.
Of further ones the server knows enough: the tags `gw.name.…` hold long names, and its params and tags are those of the
run. The field names are the keys of the stored JSON: do not rename them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import orjson

from schemas.mapping.mlflow import MAX_TAG
from schemas.mapping.names import MLFLOW_MAX_KEY, mlflow_key, mlflow_name

MAX_KEPT = 500  # entries of each kind: about 100 kB of a run with more of all kinds
NAME_TAG = "gw.name."
Value = TypeVar("Value")
_NAME_CHARS = 32  # of a key that was too long: its end is a hash of the name


class MappingState(NamedTuple):
    """What must be known in addition to MLflow's rows to read a run back unchanged."""

    names: Mapping[str, str] = {}  # by key: full names that were too long for a key, the first MAX_KEPT
    infinite: Mapping[str, int] = {}  # by key: number of clipped infinities, of the first MAX_KEPT keys
    infinite_others: int = 0  # clipped infinities of further keys
    params: Sequence[str] = ()  # keys of parameters, the first MAX_KEPT
    values: Sequence[str] = ()  # keys of params that are observations, at most MAX_VALUES
    left_out: int = 0  # observations beyond MAX_VALUES that could not be stored as artifacts
    tags: Mapping[str, str | None] = {}  # by key: tags set by the training code; None: too long to be kept here
    tags_beyond: bool = False  # there were more than MAX_KEPT of them

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values, without empty fields."""
        return {name: value for name, value in self._asdict().items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MappingState:
        """Return the state that `to_json` wrote, in this release or an earlier one, which kept more."""
        state = cls(**{name: kept for name, kept in value.items() if name in cls._fields})
        return state.with_names({})._replace(
            params=state.params[:MAX_KEPT],
            tags=first_items(state.tags),
            tags_beyond=state.tags_beyond or len(state.tags) > MAX_KEPT,
        )

    @property
    def has_all_params(self) -> bool:
        """Whether `params` has every parameter of the run."""
        return len(self.params) < MAX_KEPT

    def with_names(self, more: Mapping[str, str]) -> MappingState:
        """Return the state with further full names by key, as far as they fit."""
        return self._replace(names=first_items({**self.names, **more}))

    def name_of(self, key: str, remote_tags: Mapping[str, str] | None = None) -> str:
        """Return the written name of a key; `remote_tags`, those of the run, have names that are not kept here."""
        name = self.names.get(key)
        if name is None and remote_tags and len(key) == MLFLOW_MAX_KEY:
            name = remote_tags.get(NAME_TAG + key[-_NAME_CHARS:])
        return name or mlflow_name(key)

    def to_tags(self) -> dict[str, str]:
        """Return the tags that tell readers of MLflow what its rows do not show."""
        tags = name_tags(self.names)
        if self.infinite_others:
            tags["gw.nonfinite_others"] = str(self.infinite_others)
        if self.infinite:
            counts = {self.name_of(key): count for key, count in self.infinite.items()}
            tags["gw.nonfinite"] = dump(counts)[:MAX_TAG]
        if self.left_out:
            tags["gw.values_left_out"] = str(self.left_out)
        return tags

    def display_differences(self) -> dict[str, int]:
        """Return what MLflow's pages show differently, in words, and how often."""
        found = {
            "±Infinity, shown as ±1.797e308": sum(self.infinite.values()) + self.infinite_others,
            "observations left out": self.left_out,
        }
        return {words: count for words, count in found.items() if count}


def key_of(name: str, names: dict[str, str]) -> str:
    """Return the MLflow key of a name. If the key does not give the name back, add it to `names`."""
    key, gives_back = _key(name)
    if not gives_back:
        names[key] = name
    return key


@lru_cache(maxsize=16_384)  # a series is in each of its run's records, and often has the same name in many runs
def _key(name: str) -> tuple[str, bool]:
    key = mlflow_key(name)
    return key, mlflow_name(key) == name


def dump(value: Any) -> str:
    """Return a value as JSON text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def name_tags(names: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that hold full names by key."""
    return {NAME_TAG + key[-_NAME_CHARS:]: name[:MAX_TAG] for key, name in names.items()}


def first_items(found: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the first MAX_KEPT items."""
    return found if len(found) <= MAX_KEPT else dict(islice(found.items(), MAX_KEPT))
