"""
Deletes and renames in the records of a run's event file.

Pure: records in, records out, one in memory at a time. `find_edits` reads the file and decides what changes;
`apply_edits` reads it again, drops values and gives others a new tag. A record that loses all its values is dropped.
The texts below `gw/` keep their numbers, so a reader sees the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.trackers.edits import Edit, SeriesKey, edited_names, edited_series
from consumers.trackers.tensorboard import summaries
from schemas.mapping.names import tensorboard_name, tensorboard_tag

_TABLES = {summaries.PARAMS: "param", summaries.TAGS: "tag", summaries.LABELS: "label"}
_OBSERVED = (summaries.OBSERVED_TEXT, summaries.OBSERVED_HISTOGRAM)


class FileEdits(NamedTuple):
    """What changes in a file: series, and names of params, tags, labels and artifacts; None: it is deleted."""

    series: Mapping[SeriesKey, SeriesKey | None]
    names: Mapping[str, Mapping[str, str | None]]  # by what the names belong to

    def __bool__(self) -> bool:
        return bool(self.series) or any(self.names.values())


def find_edits(records: Iterable[bytes], edits: Sequence[Edit]) -> FileEdits:
    """Return what edits change in these records of a file."""
    series: set[SeriesKey] = set()
    names: dict[str, set[str]] = {what: set() for what in ("param", "tag", "label", "artifact")}
    for record in records:
        for value in summaries.parse(record).summary.value:
            if (key := _series(value)) is not None:
                series.add(key[0])
            elif value.tag in _TABLES:
                names[_TABLES[value.tag]].update(orjson.loads(summaries.text_of(value)))
            elif value.tag.startswith(summaries.ARTIFACT):
                names["artifact"].add(value.tag.removeprefix(summaries.ARTIFACT))
    changed = {what: edited_names(found, edits, what) for what, found in names.items()}
    return FileEdits(edited_series(series, edits), changed)


def apply_edits(records: Iterable[bytes], edits: FileEdits) -> Iterator[bytes]:
    """Yield the records of a file after the edits."""
    for record in records:
        event = summaries.parse(record)
        values = list(event.summary.value)
        left = [value for value in values if _edit(value, edits)]
        if len(left) < len(values):
            del event.summary.value[:]
            event.summary.value.extend(left)
        if left or not values:
            yield summaries.to_bytes(event)


def _edit(value: Any, edits: FileEdits) -> bool:
    """Edit one value of a record; return False if it is deleted."""
    if (found := _series(value)) is not None:
        key, prefix = found
        now = edits.series.get(key, key)
        if now is not None and now != key:
            value.tag = prefix + now.written if prefix else tensorboard_tag(now.written)
            summaries.set_scope(value, now)
        return now is not None
    if value.tag in _TABLES:
        table = _edited_table(orjson.loads(summaries.text_of(value)), edits.names[_TABLES[value.tag]])
        value.tensor.string_val[0] = orjson.dumps(table)
        return bool(table)
    if value.tag.startswith(summaries.ARTIFACT):
        name = value.tag.removeprefix(summaries.ARTIFACT)
        kept = edits.names["artifact"].get(name, name)
        value.tag = f"{summaries.ARTIFACT}{kept}"
        return kept is not None
    if edits.names["param"]:
        summaries.edit_hparams(value, edits.names["param"])
    return True


def _edited_table(table: Mapping[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    now = {changes.get(name, name): value for name, value in table.items()}
    return {name: value for name, value in now.items() if name is not None}


def _series(value: Any) -> tuple[SeriesKey, str] | None:
    """Return the series of a value, and the prefix of its name in the tag; None for other values."""
    if value.metadata.plugin_data.plugin_name == summaries.SCALARS:
        return summaries.scope_of(value).key(tensorboard_name(value.tag)), ""
    for prefix in _OBSERVED:
        if value.tag.startswith(prefix):
            return summaries.scope_of(value).key(value.tag.removeprefix(prefix)), prefix
    return None
