"""
What of a run becomes MLflow params, and what an artifact: parameters, and observations that are not numbers.

Pure. A short observation is the param `name_step`. A histogram, a text longer than a param and what comes after
MAX_VALUES others is a line of an artifact: JSON, one file for each series of a record. A record always has the same
bytes and its own number, so however calls are cut, a repeated one writes the same files again. Where the server takes
no artifacts they are params all the same, cut and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson

from consumers.trackers.mlflow.metrics import MAX_PARAM, Notes, key_of
from schemas import events as ev
from schemas.mapping.names import folder_name
from schemas.names import series_name
from schemas.values import HistogramValue, Typed, to_text
from schemas.wire import Envelope

MAX_VALUES = 1_000  # observations of one run kept as params; MLflow's pages list every param of a run
PARAM_TAG, VALUE_TAG = "gw.param.", "gw.value."
FOLDER = "gateway"  # of artifacts


class Param(NamedTuple):
    """One parameter or observation, wanted as an MLflow param."""

    key: str
    text: str
    attempt: int
    prefix: str  # of the tag that takes it when the key holds another value
    owns: bool  # the key is its own: no observation took a parameter's key, or the other way round


class Wanted(NamedTuple):
    """A parameter or an observation."""

    prefix: str
    name: str
    typed: Typed
    attempt: int


class Aside(NamedTuple):
    """Observations of one series in one record that belong into an artifact."""

    path: str
    content: bytes
    observations: Sequence[Wanted]


def params(envelopes: Iterable[Envelope], notes: Notes) -> tuple[list[Param], list[Aside], Notes]:
    """
    Return what becomes a param, in log order, and what belongs into artifacts.

    The notes tell parameters and observations apart; who comes first owns the key.
    """
    found: list[Param] = []
    aside: list[Aside] = []
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, ev.Params):
            wanted = [Wanted(PARAM_TAG, name, typed, event.attempt) for name, typed in event.params.items()]
            more, notes = as_params(wanted, notes)
            found += more
        elif isinstance(event, ev.Values):
            large: dict[str, list[ev.Observation]] = {}
            for seen in event.values:
                series = series_name(seen.name, seen.labels, event.step_name)
                one = _observation(series, seen, event.attempt)
                if _is_large(seen.value) or _is_beyond(one, notes):
                    large.setdefault(series, []).append(seen)
                else:
                    more, notes = as_params([one], notes)
                    found += more
            aside += [_aside(envelope, event.attempt, series, some) for series, some in large.items()]
    return found, aside, notes


def as_params(wanted: Iterable[Wanted], notes: Notes) -> tuple[list[Param], Notes]:
    """Return params for what is wanted; an observation beyond MAX_VALUES is left out and counted."""
    names: dict[str, str] = {}
    found: list[Param] = []
    owners = dict.fromkeys(notes.params, PARAM_TAG) | dict.fromkeys(notes.values, VALUE_TAG)
    observed, left_out = len(notes.values), notes.left_out
    for prefix, name, typed, attempt in wanted:
        key = key_of(name, names)
        if prefix == VALUE_TAG and key not in owners:
            if observed >= MAX_VALUES:
                left_out += 1
                continue
            observed += 1
        owner = owners.setdefault(key, prefix)
        found.append(Param(key, to_text(typed), attempt, prefix, owner == prefix))
    return found, notes._replace(
        names={**notes.names, **{key: name for key, name in names.items() if key in owners}},
        params=[key for key, owner in owners.items() if owner == PARAM_TAG],
        values=[key for key, owner in owners.items() if owner == VALUE_TAG],
        left_out=left_out,
    )


def _observation(series: str, seen: ev.Observation, attempt: int) -> Wanted:
    return Wanted(VALUE_TAG, f"{series}_{seen.step}", seen.value, attempt)


def _is_large(typed: Typed) -> bool:
    return isinstance(typed, HistogramValue) or len(to_text(typed)) > MAX_PARAM


def _is_beyond(one: Wanted, notes: Notes) -> bool:
    return len(notes.values) >= MAX_VALUES and key_of(one.name, {}) not in notes.values


def _aside(envelope: Envelope, attempt: int, series: str, some: Sequence[ev.Observation]) -> Aside:
    producer = blake2b(envelope.producer.encode(), digest_size=6).hexdigest()
    path = f"{FOLDER}/{folder_name(series)}/{some[0].step:012d}-{producer}-{envelope.seq}.jsonl"
    return Aside(
        path,
        b"".join(_lines(attempt, series, some)),
        [_observation(series, seen, attempt) for seen in some],
    )


def _lines(attempt: int, series: str, some: Sequence[ev.Observation]) -> Iterator[bytes]:
    for seen in some:
        facts = {"name": series, "step": seen.step, "time": seen.time, "attempt": attempt}
        yield orjson.dumps(facts | seen.value.model_dump(mode="json")) + b"\n"
