"""
Values of chosen columns of some runs: facts, parameters, last values and summaries of series, tags, labels.

One statement a kind, whatever the number of columns. A value with more than MAX_CELL characters is cut.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.read.documents import plain
from consumers.store.search.filter_terms import Key
from consumers.store.search.names import param_paths, series_candidates
from consumers.store.search.sql_builder import filled
from consumers.store.statements import sql
from schemas.columns import float_to_json

MAX_CELL = 1_000  # characters
ROWS_AT_ONCE = 200  # runs, so that memory is bounded: of each at most MAX_CELL characters a column

Place = tuple[str, str, tuple[tuple[str, str], ...]]  # step, name and labels of a series


class Cells(NamedTuple):
    """Columns of values, one value a run, and the [column, row] of those that are cut."""

    columns: list[list[Any]]
    cut: list[tuple[int, int]]


class _Cut(NamedTuple):
    """The beginning of a value."""

    text: str


async def read_cells(
    connection: PooledConnection, run_ids: Sequence[str], columns: Sequence[Key], lost_after_s: float
) -> Cells:
    """Return the values of these columns of runs, in the order of `run_ids`; None where a run has none."""
    reader = _Reader(connection, list(run_ids), lost_after_s)
    by_kind: dict[str, list[Key]] = {}
    for key in columns:
        by_kind.setdefault(_reading(key), []).append(key)
    found: dict[Key, Mapping[str, Any]] = {}
    for reading, keys in by_kind.items():
        found |= await reader.read(reading, keys)
    made, cut = list[list[Any]](), list[tuple[int, int]]()
    for column, key in enumerate(columns):
        values = [found[key].get(run_id) for run_id in run_ids]
        cut += [(column, row) for row, value in enumerate(values) if isinstance(value, _Cut)]
        made.append([value.text if isinstance(value, _Cut) else value for value in values])
    return Cells(made, cut)


def _reading(key: Key) -> str:
    return key.kind if key.kind in ("param", "metric", "tag", "label") else "fact"


class _Reader:
    """Reads the values of keys of one kind: by key, then by run."""

    def __init__(self, connection: PooledConnection, run_ids: list[str], lost_after_s: float) -> None:
        self._connection, self._run_ids, self._lost_after_s = connection, run_ids, lost_after_s

    async def read(self, reading: str, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        """Return the values by key and run."""
        match reading:
            case "fact":
                return await self._facts(keys)
            case "param":
                return await self._params(keys)
            case "metric":
                return await self._metrics(keys)
            case "tag":
                return await self._named("table_tags", keys, lambda row: _text(row["value"]))
        return await self._named("table_labels", keys, _typed)

    async def _facts(self, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        statement = filled(sql("table_facts"), {"stage": sql("stage_with_experiment")})
        rows = await self._connection.fetch(statement, self._run_ids, self._lost_after_s, MAX_CELL + 1)
        return {key: {row["run_id"]: _fact(row[key.name]) for row in rows} for key in keys}

    async def _named(
        self, statement: str, keys: Sequence[Key], read: Callable[[Any], Any]
    ) -> dict[Key, dict[str, Any]]:
        names = [key.name for key in keys]
        rows = await self._connection.fetch(sql(statement), self._run_ids, names, MAX_CELL + 1)
        found: dict[str, dict[str, Any]] = {}
        for row in rows:
            found.setdefault(row["name"], {})[row["run_id"]] = read(row)
        return {key: found.get(key.name, {}) for key in keys}

    async def _params(self, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        """Return parameters by name, and otherwise what JSON parameters have at the path that a name can mean."""
        inside = await self._inside([(key, name, path) for key in keys for name, path in param_paths(key.name)])
        whole = await self._named("table_params", keys, _typed)
        return {key: inside.get(key, {}) | whole[key] for key in keys}

    async def _inside(self, places: Sequence[tuple[Key, str, Sequence[str]]]) -> dict[Key, dict[str, Any]]:
        if not places:
            return {}
        names, paths = [name for _, name, _ in places], [json.dumps(path) for *_, path in places]
        statement = sql("table_param_paths")
        rows = await self._connection.fetch(statement, self._run_ids, names, paths, MAX_CELL + 1)
        found: dict[Key, dict[str, Any]] = {}
        for row in sorted(rows, key=itemgetter("place"), reverse=True):  # the shortest name counts
            found.setdefault(places[row["place"] - 1][0], {})[row["run_id"]] = _typed(row)
        return found

    async def _metrics(self, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        wanted: dict[Place, list[Key]] = {}
        for key in keys:
            for step, name, labels in series_candidates(key.name):
                wanted.setdefault((step, name, tuple(sorted(labels.items()))), []).append(key)
        names = list({name for _, name, _ in wanted})
        rows = await self._connection.fetch(sql("table_series"), self._run_ids, names)
        series: dict[tuple[Key, str], list[Any]] = {}
        for row in rows:
            for key in wanted.get((row["step_name"], row["name"], tuple(sorted(row["labels"].items()))), ()):
                series.setdefault((key, row["run_id"]), []).append(row)
        firsts = await self._firsts([some[0] for (key, _), some in series.items() if key.stat == "first"])
        found: dict[Key, dict[str, Any]] = {key: {} for key in keys}
        for (key, run_id), attempts in series.items():
            is_first = key.stat == "first"
            found[key][run_id] = _number(
                firsts.get(attempts[0]["series_id"]) if is_first else _STATS[key.stat](attempts)
            )
        return found

    async def _firsts(self, rows: Sequence[Any]) -> dict[Any, float]:
        if not rows:
            return {}
        ids, months = [row["series_id"] for row in rows], list({row["month"] for row in rows})
        found = await self._connection.fetch(sql("table_first_values"), ids, months)
        return {row["series_id"]: row["first_value"] for row in found}


_STATS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "last": lambda rows: rows[-1]["last_value"],
    "step": lambda rows: rows[-1]["last_step"],
    "min": lambda rows: min((row["min_value"] for row in rows if row["min_value"] is not None), default=None),
    "max": lambda rows: max((row["max_value"] for row in rows if row["max_value"] is not None), default=None),
    "count": lambda rows: sum(row["points"] for row in rows),
    "non_finite": lambda rows: sum(row["non_finite"] for row in rows),
}


def _number(value: float | None) -> Any:
    return float_to_json(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(text: str) -> str | _Cut:
    return text if len(text) <= MAX_CELL else _Cut(text[:MAX_CELL])


def _fact(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    return value if value is None else int(value)


def _typed(row: Any) -> Any:
    if row["head"] is not None:
        return _Cut(row["head"][:MAX_CELL])
    found = plain(row["value"])
    return _text(found) if isinstance(found, str) else found
