"""
Deletes and renames in the records of a run's W&B file.

Pure: records in, records out, one in memory at a time. A first pass over the file (`Present`) tells what is there, and
with it the edits say what changes; a second one drops cells and config items and gives them other keys. A row without
cells goes, and the rows after it count from its place. Summaries are made anew from the rows that stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.trackers.edits import Edit, Scope, SeriesKey, edited_names, edited_series
from consumers.trackers.wandb import translate
from schemas.mapping.names import wandb_key, wandb_name

STEP, SCOPE = "gw/step", "_gw"
_OF_ROW = ("_step", "_timestamp", "_runtime", STEP)
_PREFIX = {"tag": "gw.tag.", "label": "gw.label.", "artifact": "gw.artifact."}


class Edits(NamedTuple):
    """What changes: series, and keys of the config; None: it goes."""

    series: Mapping[SeriesKey, SeriesKey | None]
    config: Mapping[str, str | None]
    tags: Sequence[str]  # names of those that go, or go by another name


def find_edits(records: Iterable[Any], events: Sequence[Edit]) -> Edits:
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
    for old, new in edited_names(params, events, "param").items():
        config[params[old]] = None if new is None else wandb_key(new)
    tags: list[str] = []
    for what, prefix in _PREFIX.items():
        names = {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}
        changed = edited_names(names, events, what)
        config |= {prefix + old: None if new is None else prefix + new for old, new in changed.items()}
        tags += changed if what == "tag" else ()
    return Edits(edited_series(series, events), config, tags)


def edited(records: Iterable[Any], edits: Edits) -> Iterator[Any]:
    """Yield the records of a file as the edits leave them; without summaries, and with the numbers they had."""
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
                _forget_tags(record.run, edits.tags)
                yield record
            case _:
                yield record


def cells_of(record: Any) -> dict[str, str]:
    """Return the cells of a history row, as JSON text by key, without those that belong to every row."""
    return {item.key: item.value_json for item in record.history.item if item.key not in (*_OF_ROW, SCOPE)}


def _cells(record: Any) -> dict[SeriesKey, str]:
    found = [item.value_json for item in record.history.item if item.key == SCOPE]
    scope = Scope(*orjson.loads(orjson.loads(found[0]))) if found else Scope()
    return {scope.key(wandb_name(key)): text for key, text in cells_of(record).items()}


def _edited_rows(record: Any, changes: Mapping[SeriesKey, SeriesKey | None]) -> Iterator[Any]:
    cells = _cells(record)
    if changes.keys().isdisjoint(cells):
        yield record
        return
    made: dict[tuple[str, int], dict[str, str]] = {}  # two series may come to have one written name: a row each
    for series, text in cells.items():
        if (now := changes.get(series, series)) is not None:
            key, scope = translate.cell_of(now)
            number = 0
            while key in made.get((scope, number), ()):
                number += 1
            made.setdefault((scope, number), {})[key] = text
    items = {item.key: item.value_json for item in record.history.item}
    for (scope, _), row in made.items():
        one = type(record)()
        one.CopyFrom(record)
        del one.history.item[:]
        of_row = {key: items[key] for key in _OF_ROW} | ({SCOPE: scope} if scope else {})
        for key, text in {**of_row, **row}.items():
            one.history.item.add(key=key, value_json=text)
        yield one


def _edit_config(config: Any, changes: Mapping[str, str | None]) -> bool:
    """Edit a config record; return whether anything is left of it."""
    items = [(item.key, item.value_json) for item in config.update]
    del config.update[:]
    for key, text in items:
        if (now := changes.get(key, key)) is not None:
            config.update.add(key=now, value_json=text)
    return bool(config.update)


def _forget_tags(run: Any, names: Sequence[str]) -> None:
    """Take tags from a head of the run; the newest head, which follows, has all that are left."""
    left = [word for word in run.tags if not word.startswith(tuple(f"{name}:"[:64] for name in names))]
    left = [word for word in left if word not in {name[:64] for name in names}]
    del run.tags[:]
    run.tags.extend(left)
