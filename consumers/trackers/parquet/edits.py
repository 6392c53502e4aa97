"""
Deletes and renames in the tables of a run.

Pure: Arrow tables in, Arrow tables out, one part of a table at a time. `NamesInUse` collects the columns that hold
names, and its `find_edits` decides what changes; `apply_edits` changes the rows of a part. A part in which nothing
changes stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from consumers.trackers.edits import Edit, Scope, SeriesKey, edited_names, edited_series

NAME_COLUMNS = {
    "points": ("series", "step_name", "attempt", "name"),
    "observations": ("series", "step_name", "attempt", "name"),
    "params": ("name",),
    "tags": ("kind", "name"),
}  # the columns that hold names, by table
_KINDS = ("tag", "label", "artifact")
Names = tuple[Any, ...]  # the values of those columns
NewValues = Mapping[str, str]  # by column


class TableEdits(NamedTuple):
    """What changes in each table: rows by their names, with the new values; None: they are deleted."""

    tables: Mapping[str, Mapping[Names, NewValues | None]]

    def __bool__(self) -> bool:
        return any(self.tables.values())


class NamesInUse:
    """The names that the tables of a run hold before some edits."""

    def __init__(self) -> None:
        self._names: dict[str, set[Names]] = {table: set() for table in NAME_COLUMNS}

    def add(self, table: str, part: pa.Table) -> None:
        """Add the names in a part of a table."""
        self._names[table].update(_names(table, part))

    def find_edits(self, edits: Sequence[Edit]) -> TableEdits:
        """Return what edits change."""
        keys = {names: _key(names) for names in self._names["points"] | self._names["observations"]}
        series = edited_series(set(keys.values()), edits)
        of_series = {names: _renamed(series[key]) for names, key in keys.items() if key in series}
        params = edited_names({name for (name,) in self._names["params"]}, edits, "param")
        of_params = {(old,): _named(new) for old, new in params.items()}
        of_tags: dict[Names, NewValues | None] = {}
        for kind in _KINDS:
            found = {name for one, name in self._names["tags"] if one == kind}
            of_tags |= {(kind, old): _named(new) for old, new in edited_names(found, edits, kind).items()}
        return TableEdits({"points": of_series, "observations": of_series, "params": of_params, "tags": of_tags})


def apply_edits(table: str, part: pa.Table, edits: TableEdits) -> pa.Table | None:
    """Return a part of a table after the edits, or None if they change nothing in it."""
    changes = {names: edits.tables[table][names] for names in _names(table, part) if names in edits.tables[table]}
    if not changes:
        return None
    masks = {names: _rows(table, part, names) for names in changes}  # before any row changes its name
    for names, change in changes.items():
        for column, value in (change or {}).items():
            at = part.schema.get_field_index(column)
            part = part.set_column(at, part.schema.field(at), pc.if_else(masks[names], value, part[column]))
    gone = [masks[names] for names, change in changes.items() if change is None]
    return part.filter(pc.invert(reduce(pc.or_, gone))) if gone else part


def _names(table: str, part: pa.Table) -> Iterator[Names]:
    columns = list(NAME_COLUMNS[table])
    found = part.select(columns).group_by(columns).aggregate([])
    return zip(*(found[column].to_pylist() for column in columns), strict=True)


def _rows(table: str, part: pa.Table, names: Names) -> Any:
    return reduce(
        pc.and_, (pc.equal(part[name], value) for name, value in zip(NAME_COLUMNS[table], names, strict=True))
    )


def _key(names: Names) -> SeriesKey:
    series, step_name, attempt, name = names
    return Scope(step_name, attempt, {series: name} if name else {}).key(series)


def _renamed(key: SeriesKey | None) -> NewValues | None:
    return None if key is None else {"series": key.written, "name": key.name}


def _named(name: str | None) -> NewValues | None:
    return None if name is None else {"name": name}
