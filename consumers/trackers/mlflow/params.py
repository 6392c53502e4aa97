"""
Parameters and observations as MLflow params and artifacts.

Pure. A short observation becomes the param `name_step`. A histogram, a text longer than a param, and every observation
after MAX_VALUES others go to artifacts: JSON lines, one file for each series of an event. A repeated event has the same
bytes and the same number, so it writes the same files again, however calls are cut. If the server does not accept
artifacts, these observations become params too, cut and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson

from consumers.trackers.mlflow.mapping_state import MAX_KEPT, MappingState
from schemas import events as ev
from schemas.mapping.mlflow import MAX_PARAM
from schemas.mapping.names import folder_name, mlflow_key, mlflow_name
from schemas.names import series_name
from schemas.values import HistogramValue, Typed, to_text
from schemas.wire import Envelope

MAX_VALUES = 1_000  # observations of one run stored as params: MLflow's pages list every param of a run
PARAM_TAG, VALUE_TAG = "gw.param.", "gw.value."
FOLDER = "gateway"  # of artifacts


class Param(NamedTuple):
    """A parameter or observation to be stored as an MLflow param."""

    key: str
    text: str
    attempt: int
    prefix: str  # of the tag that receives it if the key already has another value
    owns: bool  # False: an observation already uses the key of this parameter, or vice versa


class NamedValue(NamedTuple):
    """A parameter or an observation under its written name."""

    prefix: str  # PARAM_TAG or VALUE_TAG
    name: str
    value: Typed
    attempt: int


class ArtifactSpill(NamedTuple):
    """Observations of one series in one event that do not fit into params and go to an artifact."""

    path: str
    content: bytes
    observations: Sequence[NamedValue]


class ParamCollector:
    """
    Collects params and artifacts of events in log order.

    The first parameter or observation that uses a key owns it; the mapping state records the owners. Of a run with more
    parameters than it records, an observation owns a key that the server does not have, or has with the same text.
    `remote_params` returns the params that the server holds; it is called for these only.
    """

    def __init__(self, before: MappingState, remote_params: Callable[[], Mapping[str, str]]) -> None:
        self.params: list[Param] = []
        self.spills: list[ArtifactSpill] = []
        self.names: dict[str, str] = {}  # by key: names that were too long
        self._before, self._remote_params = before, remote_params
        self._owners = dict.fromkeys(before.params, PARAM_TAG) | dict.fromkeys(before.values, VALUE_TAG)
        self._observed, self._left_out = len(before.values), before.left_out

    def add_params(self, event: ev.Params) -> None:
        """Add the parameters of an event."""
        for name, value in event.params.items():
            self.add(NamedValue(PARAM_TAG, name, value, event.attempt))

    def add_observations(self, envelope: Envelope, event: ev.Values) -> None:
        """Add the observations of an event, as params or as artifacts."""
        large: dict[str, list[ev.Observation]] = {}
        for seen in event.values:
            series = series_name(seen.name, seen.labels, event.step_name)
            named = _observation(series, seen, event.attempt)
            if _is_large(seen.value) or self._is_beyond(named):
                large.setdefault(series, []).append(seen)
            else:
                self.add(named)
        self.spills += [_spill(envelope, event.attempt, series, some) for series, some in large.items()]

    def add(self, named: NamedValue) -> None:
        """Add a param; an observation beyond MAX_VALUES is left out and counted."""
        key = mlflow_key(named.name)
        if named.prefix == VALUE_TAG and key not in self._owners:
            if self._observed >= MAX_VALUES:
                self._left_out += 1
                return
            self._observed += 1
        if mlflow_name(key) != named.name:
            self.names[key] = named.name
        text = to_text(named.value)
        if key not in self._owners:
            self._owners[key] = self._first_owner(key, named.prefix, text)
        owns = self._owners[key] == named.prefix
        self.params.append(Param(key, text, named.attempt, named.prefix, owns))

    def update(self, state: MappingState) -> MappingState:
        """Return the mapping state with the owners of keys and the number of observations left out."""
        return state.with_names(self.names)._replace(
            params=[key for key, owner in self._owners.items() if owner == PARAM_TAG][:MAX_KEPT],
            values=[key for key, owner in self._owners.items() if owner == VALUE_TAG],
            left_out=self._left_out,
        )

    def _first_owner(self, key: str, prefix: str, text: str) -> str:
        if prefix == PARAM_TAG or self._before.has_all_params:
            return prefix
        return VALUE_TAG if self._remote_params().get(key, text[:MAX_PARAM]) == text[:MAX_PARAM] else PARAM_TAG

    def _is_beyond(self, named: NamedValue) -> bool:
        return self._observed >= MAX_VALUES and self._owners.get(mlflow_key(named.name)) != VALUE_TAG


def params_of_refused(
    spills: Iterable[ArtifactSpill], state: MappingState, remote_params: Callable[[], Mapping[str, str]]
) -> ParamCollector:
    """Return the observations of artifacts that the server refused, as params."""
    collector = ParamCollector(state, remote_params)
    for spill in spills:
        for named in spill.observations:
            collector.add(named)
    return collector


def _observation(series: str, seen: ev.Observation, attempt: int) -> NamedValue:
    return NamedValue(VALUE_TAG, f"{series}_{seen.step}", seen.value, attempt)


def _is_large(value: Typed) -> bool:
    return isinstance(value, HistogramValue) or len(to_text(value)) > MAX_PARAM


def _spill(envelope: Envelope, attempt: int, series: str, some: Sequence[ev.Observation]) -> ArtifactSpill:
    producer = blake2b(envelope.producer.encode(), digest_size=6).hexdigest()
    path = f"{FOLDER}/{folder_name(series)}/{some[0].step:012d}-{producer}-{envelope.seq}.jsonl"
    return ArtifactSpill(
        path,
        b"".join(_lines(attempt, series, some)),
        [_observation(series, seen, attempt) for seen in some],
    )


def _lines(attempt: int, series: str, some: Sequence[ev.Observation]) -> Iterator[bytes]:
    for seen in some:
        facts = {"name": series, "step": seen.step, "time": seen.time, "attempt": attempt}
        yield orjson.dumps(facts | seen.value.model_dump(mode="json")) + b"\n"
