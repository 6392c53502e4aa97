"""
What runs have, side by side: parameters by their paths, tags, environment, code, metrics, attempts, artifacts.

Of each section the first MAX_KEYS keys and MAX_BYTES of a run are read. Where a run has more, keys behind them are left
out for all runs: otherwise they would look as if that run lacked them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.read.documents import plain
from consumers.store.search.sql_builder import filled
from consumers.store.statements import sql
from schemas.api.comparison import DiffRow, DiffSection

SECTIONS = ("params", "tags", "environment", "code", "metrics", "attempts", "artifacts")  # besides facts
MAX_KEYS = 10_000
MAX_BYTES = 2 * 1024 * 1024
MAX_SHOWN = 1_000  # characters of a value
_TYPED = ("params", "environment")
_ABSENT = object()


class Part(NamedTuple):
    """What a run has in a section."""

    values: Mapping[str, Any]  # by key; of a long value its `Long`
    names: Mapping[str, str]  # of which stored name a key is a part
    end: str | None  # the last name that was read, where there are more


class Long(NamedTuple):
    """A value that is too long to be read whole."""

    head: str
    hash: str


async def read_part(connection: PooledConnection, section: str, run_id: str) -> Part:
    """Return what a run has in a section."""
    statement = filled(sql("diff_rows"), {"rows": sql(f"diff_{section}")})
    values, names, spent, last = dict[str, Any](), dict[str, str](), 0, None
    async for row in connection.cursor(statement, run_id, prefetch=200):
        if len(values) >= MAX_KEYS or spent >= MAX_BYTES:
            return Part(values, names, last)
        last, spent = row["name"], spent + row["bytes"]
        if row["value"] is None:
            values[row["name"]], names[row["name"]] = Long(row["head"], row["hash"]), row["name"]
            continue
        whole = plain(row["value"]) if section in _TYPED else row["value"]
        for key, value in leaves(row["name"], whole):
            values[key], names[key] = value, row["name"]
    return Part(values, names, None)


def leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is inside a JSON value, by its path: model.layers.0. Empty containers are leaves."""
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from leaves(f"{key}.{name}", value[name])
    elif isinstance(value, list) and value:
        for number, one in enumerate(value):
            yield from leaves(f"{key}.{number}", one)
    else:
        yield key, value


def compare(name: str, parts: Sequence[Part], *, changed_only: bool) -> tuple[DiffSection, bool]:
    """Return a section of a diff, and whether keys are left out."""
    ends = [part.end for part in parts if part.end is not None]
    end = min(ends, default=None)
    keys = {key for part in parts for key in part.values if end is None or part.names[key] <= end}
    rows = [row for key in sorted(keys) if (row := _row(key, parts)).differs or not changed_only]
    return DiffSection(name=name, rows=rows[:MAX_KEYS]), end is not None or len(rows) > MAX_KEYS


def _row(key: str, parts: Sequence[Part]) -> DiffRow:
    found = [part.values.get(key, _ABSENT) for part in parts]
    shown = [_shown(value) for value in found]
    return DiffRow.model_construct(
        key=key,
        values=[value for value, _ in shown],
        differs=any(_form(value) != _form(found[0]) for value in found[1:]),
        cut=any(is_cut for _, is_cut in shown),
    )


def _form(value: Any) -> Any:
    return type(value) is bool, value  # true is not 1, but 1.0 is 1


def _shown(value: Any) -> tuple[Any, bool]:
    if value is _ABSENT:
        return None, False
    if isinstance(value, Long):
        return value.head, True
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return value[:MAX_SHOWN], True
    return value, False
