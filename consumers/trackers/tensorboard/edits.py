"""
Deletes and renames in the records of a run's event file.

Pure: records in, records out, one in memory at a time. A first pass tells what is there, and with it the edits say what
changes; a second one drops values and gives them other tags. A record without values goes. What stands in words below
`gw/` keeps its number, so a reader sees the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.trackers.edits import Edit, Scope, SeriesKey, edited_names, edited_series
from consumers.trackers.tensorboard import summaries
from schemas.mapping.names import tensorboard_name, tensorboard_tag

_TABLES = {summaries.PARAMS: "param", "gw/tags": "tag", "gw/labels": "label"}
_SEEN = ("gw/text/", "gw/histogram/")
_ARTIFACT = "gw/artifact/"


class Edits(NamedTuple):
    """What changes: series, and names of parameters, tags, labels and artifacts; None: it goes."""

    series: Mapping[SeriesKey, SeriesKey | None]
    names: Mapping[str, Mapping[str, str | None]]  # by what they are names of

    def __bool__(self) -> bool:
        return bool(self.series) or any(self.names.values())


def find_edits(records: Iterable[bytes], events: Sequence[Edit]) -> Edits:
    """Return what edits change in these records of a file."""
    series: set[SeriesKey] = set()
    names: dict[str, set[str]] = {what: set() for what in ("param", "tag", "label", "artifact")}
    for record in records:
        for value in summaries.parse(record).summary.value:
            if (key := _series(value)) is not None:
                series.add(key[0])
            elif value.tag in _TABLES:
                names[_TABLES[value.tag]].update(orjson.loads(summaries.text_of(value)))
            elif value.tag.startswith(_ARTIFACT):
                names["artifact"].add(value.tag.removeprefix(_ARTIFACT))
    changed = {what: edited_names(found, events, what) for what, found in names.items()}
    return Edits(edited_series(series, events), changed)


def edited(records: Iterable[bytes], edits: Edits) -> Iterator[bytes]:
    """Yield the records of a file as the edits leave them."""
    for record in records:
        event = summaries.parse(record)
        values = list(event.summary.value)
        left = [value for value in values if _edit(value, edits)]
        if len(left) < len(values):
            del event.summary.value[:]
            event.summary.value.extend(left)
        if left or not values:
            yield summaries.bytes_of(event)


def _edit(value: Any, edits: Edits) -> bool:
    """Edit one value of a record; return whether it stays."""
    if (found := _series(value)) is not None:
        key, prefix = found
        now = edits.series.get(key, key)
        if now is not None and now != key:
            value.tag = prefix + now.written if prefix else tensorboard_tag(now.written)
            summaries.put_scope(value, now)
        return now is not None
    if value.tag in _TABLES:
        words = _edited_table(orjson.loads(summaries.text_of(value)), edits.names[_TABLES[value.tag]])
        value.tensor.string_val[0] = orjson.dumps(words)
        return bool(words)
    if value.tag.startswith(_ARTIFACT):
        name = value.tag.removeprefix(_ARTIFACT)
        kept = edits.names["artifact"].get(name, name)
        value.tag = f"{_ARTIFACT}{kept}"
        return kept is not None
    if edits.names["param"]:
        summaries.edit_hparams(value, edits.names["param"])
    return True


def _edited_table(words: Mapping[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    now = {changes.get(name, name): word for name, word in words.items()}
    return {name: word for name, word in now.items() if name is not None}


def _series(value: Any) -> tuple[SeriesKey, str] | None:
    """Return the series that a value belongs to, and what stands before its name in the tag; None for other values."""
    told = value.metadata.summary_description
    scope = Scope(**orjson.loads(told)) if told else Scope()
    if value.metadata.plugin_data.plugin_name == summaries.SCALARS:
        return scope.key(tensorboard_name(value.tag)), ""
    for prefix in _SEEN:
        if value.tag.startswith(prefix):
            return scope.key(value.tag.removeprefix(prefix)), prefix
    return None
