"""
Deletes and renames in the tables of a run.

Pure: Arrow tables in, Arrow tables out, one part of a table at a time. A first pass over the columns that name things
tells what is there, and with it the edits say what changes; a part in which nothing changes stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from consumers.trackers.edits import Edit, Scope, SeriesKey, edited_names, edited_series

NAMED = {
    "points": ("series", "step_name", "attempt", "name"),
    "observations": ("series", "step_name", "attempt", "name"),
    "params": ("name",),
    "tags": ("kind", "name"),
}  # the columns that name things, by table
_KINDS = ("tag", "label", "artifact")
Place = tuple[Any, ...]  # the values of those columns
Change = Mapping[str, str]  # values by column


class Present:
    """What is there of a run before some edits."""

    def __init__(self) -> None:
        self._places: dict[str, set[Place]] = {table: set() for table in NAMED}

    def add(self, table: str, part: pa.Table) -> None:
        """Take note of what a part of a table names."""
        self._places[table].update(_places(table, part))

    def edit(self, events: Sequence[Edit]) -> Changes:
        """Return what edits change."""
        places = self._places["points"] | self._places["observations"]
        keys = {place: _key(place) for place in places}
        series = edited_series(set(keys.values()), events)
        of_series = {place: _renamed(series[key]) for place, key in keys.items() if key in series}
        names = {name for (name,) in self._places["params"]}
        params = edited_names(names, events, "param")
        of_tags: dict[Place, Change | None] = {}
        for kind in _KINDS:
            found = {name for one, name in self._places["tags"] if one == kind}
            changed = edited_names(found, events, kind)
            of_tags |= {(kind, old): _named(new) for old, new in changed.items()}
        of_params = {(old,): _named(new) for old, new in params.items()}
        return Changes({"points": of_series, "observations": of_series, "params": of_params, "tags": of_tags})


class Changes(NamedTuple):
    """What changes in each table: which rows, by what they name, and to what; None: they go."""

    tables: Mapping[str, Mapping[Place, Change | None]]

    def __bool__(self) -> bool:
        return any(self.tables.values())

    def apply(self, table: str, part: pa.Table) -> pa.Table | None:
        """Return a part of a table as the edits leave it, or None when they change nothing in it."""
        changes = {place: self.tables[table][place] for place in _places(table, part) if place in self.tables[table]}
        if not changes:
            return None
        masks = {place: _rows(table, part, place) for place in changes}  # before any row changes its name
        for place, change in changes.items():
            for column, value in (change or {}).items():
                at = part.schema.get_field_index(column)
                part = part.set_column(at, part.schema.field(at), pc.if_else(masks[place], value, part[column]))
        gone = [masks[place] for place, change in changes.items() if change is None]
        return part.filter(pc.invert(reduce(pc.or_, gone))) if gone else part


def _places(table: str, part: pa.Table) -> Iterator[Place]:
    columns = list(NAMED[table])
    found = part.select(columns).group_by(columns).aggregate([])
    return zip(*(found[column].to_pylist() for column in columns), strict=True)


def _rows(table: str, part: pa.Table, place: Place) -> Any:
    return reduce(pc.and_, (pc.equal(part[name], value) for name, value in zip(NAMED[table], place, strict=True)))


def _key(place: Place) -> SeriesKey:
    series, step_name, attempt, name = place
    return Scope(step_name, attempt, {series: name} if name else {}).key(series)


def _renamed(key: SeriesKey | None) -> Change | None:
    return None if key is None else {"series": key.written, "name": key.name}


def _named(name: str | None) -> Change | None:
    return None if name is None else {"name": name}
