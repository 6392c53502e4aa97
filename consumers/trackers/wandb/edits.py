"""
Deletes and renames in the records of a run's W&B file.

Pure: records in, records out, one in memory at a time. `find_edits` reads the file and decides what changes;
`apply_edits` reads it again, drops cells and config items and renames others. A row that loses all its cells is
dropped, and the rows after it move up. Summaries are built again from the remaining rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.trackers.edits import Edit, Scope, SeriesKey, edited_names, edited_series
from consumers.trackers.wandb.translate import SCOPE_KEY, STEP_KEY, cell_key
from schemas.mapping.names import wandb_key, wandb_name

_ROW_KEYS = ("_step", "_timestamp", "_runtime", STEP_KEY)
_PREFIXES = {"tag": "gw.tag.", "label": "gw.label.", "artifact": "gw.artifact."}


class FileEdits(NamedTuple):
    """What changes in a file: series, and keys of the config; None: it is deleted."""

    series: Mapping[SeriesKey, SeriesKey | None]
    config: Mapping[str, str | None]
    tags: Sequence[str]  # names of the tags that are deleted or renamed


def find_edits(records: Iterable[Any], edits: Sequence[Edit]) -> FileEdits:
    """Return what edits change in these records of a file."""
    series: set[SeriesKey] = set()
    keys: set[str] = set()
    for record in records:
        kind = record.WhichOneof("record_type")
        if kind == "history":
            series.update(_cells(record))
        elif kind == "config":
            keys.update(item.key for item in record.config.update)
    config: dict[str, str | None] = {}
    params = {wandb_name(key): key for key in keys if not key.startswith("gw.")}
    for old, new in edited_names(params, edits, "param").items():
        config[params[old]] = None if new is None else wandb_key(new)
    tags: list[str] = []
    for what, prefix in _PREFIXES.items():
        names = {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}
        changed = edited_names(names, edits, what)
        config |= {prefix + old: None if new is None else prefix + new for old, new in changed.items()}
        tags += changed if what == "tag" else ()
    return FileEdits(edited_series(series, edits), config, tags)


def apply_edits(records: Iterable[Any], edits: FileEdits, project: str) -> Iterator[Any]:
    """Yield the records of a file after the edits, in this project, without summaries and with their old numbers."""
    for record in records:
        match record.WhichOneof("record_type"):
            case "history":
                yield from _edited_rows(record, edits.series)
            case "summary":
                continue
            case "config":
                if _edit_config(record.config, edits.config):
                    yield record
            case "run":
                _remove_tags(record.run, edits.tags)
                record.run.project = project
                yield record
            case _:
                yield record


def cells_of(record: Any) -> dict[str, str]:
    """Return the cells of a history row, as JSON text by key, without the keys that every row has."""
    return {item.key: item.value_json for item in record.history.item if item.key not in (*_ROW_KEYS, SCOPE_KEY)}


def _cells(record: Any) -> dict[SeriesKey, str]:
    found = [item.value_json for item in record.history.item if item.key == SCOPE_KEY]
    scope = Scope(*orjson.loads(orjson.loads(found[0]))) if found else Scope()
    return {scope.key(wandb_name(key)): text for key, text in cells_of(record).items()}


def _edited_rows(record: Any, changes: Mapping[SeriesKey, SeriesKey | None]) -> Iterator[Any]:
    cells = _cells(record)
    if changes.keys().isdisjoint(cells):
        yield record
        return
    new_rows: dict[tuple[str, int], dict[str, str]] = {}  # two series with the same new written name: one row each
    for series, text in cells.items():
        if (now := changes.get(series, series)) is not None:
            key, scope = cell_key(now)
            number = 0
            while key in new_rows.get((scope, number), ()):
                number += 1
            new_rows.setdefault((scope, number), {})[key] = text
    items = {item.key: item.value_json for item in record.history.item}
    for (scope, _), row in new_rows.items():
        one = type(record)()
        one.CopyFrom(record)
        del one.history.item[:]
        of_row = {key: items[key] for key in _ROW_KEYS} | ({SCOPE_KEY: scope} if scope else {})
        for key, text in {**of_row, **row}.items():
            one.history.item.add(key=key, value_json=text)
        yield one


def _edit_config(config: Any, changes: Mapping[str, str | None]) -> bool:
    """Edit a config record; return False if nothing is left of it."""
    items = [(item.key, item.value_json) for item in config.update]
    del config.update[:]
    for key, text in items:
        if (now := changes.get(key, key)) is not None:
            config.update.add(key=now, value_json=text)
    return bool(config.update)


def _remove_tags(run: Any, names: Sequence[str]) -> None:
    """Remove tags from a run record; the newest run record, written after these, has all tags that are left."""
    left = [text for text in run.tags if not text.startswith(tuple(f"{name}:"[:64] for name in names))]
    left = [text for text in left if text not in {name[:64] for name in names}]
    del run.tags[:]
    run.tags.extend(left)
