"""
What a run's rows in MLflow do not express, and a read-back needs: kept with the checkpoint.

Pure. MLflow shortens keys, merges equal rows and clips infinities; `MappingState` records each such case. It follows
from the log alone, never from what the server holds, so the same events always give the same state. The field names
are the keys of the stored JSON: do not rename them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from schemas.mapping.names import mlflow_key, mlflow_name

MAX_PARAM, MAX_TAG, MAX_RUN_NAME = 6_000, 8_000, 250  # characters, limits of MLflow
Row = tuple[str, int, int, float | str]  # one row in MLflow: key, step, ms, value; non-finite values by name


class MappingState(NamedTuple):
    """What must be known in addition to MLflow's rows to read a run back unchanged."""

    names: Mapping[str, str] = {}  # by key: full names that were too long for a key
    doubles: Sequence[tuple[Row, int]] = ()  # how many more times a row occurred: MLflow keeps equal rows once
    newest: Sequence[Row] = ()  # the rows at each key's newest ms: a later event may still repeat one
    largest: Sequence[tuple[str, int, int]] = ()  # real ±1.797e308; MLflow clips infinities to the same value
    infinite: Mapping[str, int] = {}  # by key: number of clipped infinities
    params: Sequence[str] = ()  # keys of parameters
    values: Sequence[str] = ()  # keys of params that are observations
    left_out: int = 0  # observations beyond MAX_VALUES that could not be stored as artifacts
    tags: Mapping[str, str | None] = {}  # by key: tags set by the training code; None: too long to be kept here

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values, without empty fields."""
        return {name: value for name, value in self._asdict().items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MappingState:
        """Return the state that `to_json` wrote."""
        state = cls(**value)
        return state._replace(
            doubles=[(_row(row), count) for row, count in state.doubles],
            newest=[_row(row) for row in state.newest],
            largest=[(key, step, time) for key, step, time in state.largest],
        )

    def name_of(self, key: str) -> str:
        """Return the written name of a key."""
        return self.names.get(key) or mlflow_name(key)

    def to_tags(self) -> dict[str, str]:
        """Return the tags that tell readers of MLflow what its rows do not show."""
        tags = {f"gw.name.{key[-32:]}": name[:MAX_TAG] for key, name in self.names.items()}
        if self.infinite:
            counts = {self.name_of(key): count for key, count in self.infinite.items()}
            tags["gw.nonfinite"] = dump(counts)[:MAX_TAG]
        if self.left_out:
            tags["gw.values_left_out"] = str(self.left_out)
        return tags

    def display_differences(self) -> dict[str, int]:
        """Return what MLflow's pages show differently, in words, and how often; `read_points` undoes it."""
        found = {
            "±Infinity, shown as ±1.797e308": sum(self.infinite.values()),
            "equal points, shown as one": sum(count for _, count in self.doubles),
            "observations left out": self.left_out,
        }
        return {words: count for words, count in found.items() if count}


def key_of(name: str, names: dict[str, str]) -> str:
    """Return the MLflow key of a name. If the key does not give the name back, add it to `names`."""
    key = mlflow_key(name)
    if mlflow_name(key) != name:
        names[key] = name
    return key


def dump(value: Any) -> str:
    """Return a value as JSON text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _row(row: Sequence[Any]) -> Row:
    key, step, time, value = row
    return key, step, time, value if isinstance(value, str) else float(value)
