"""
A row for each run of a search: facts, and any of its parameters, last values and tags as columns.

Two passes within one snapshot: the first finds which columns there are and of which type, the second reads the rows, so
that neither needs all runs in memory.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.store.export.blocks import Block, Column, Kind
from consumers.store.pool import PooledConnection
from consumers.store.read.run_documents import RunDocuments, RunsWanted
from consumers.store.search.filter import parse_order
from consumers.store.search.filter_terms import Key
from consumers.store.search.filter_tokens import FilterError
from consumers.store.search.names import param_paths
from consumers.store.statements import sql
from consumers.store.tables.cells import Cells
from schemas.columns import float_from_json
from schemas.names import series_name

RUNS_AT_ONCE = 1_000
CELLS_AT_ONCE = 100_000
MAX_COLUMNS = 2_000
FACTS: dict[str, Kind] = {
    "run_id": "text", "name": "text", "state": "text", "experiment": "text", "experiment_id": "text", "group": "text",
    "parent_run_id": "text", "message": "text", "lifecycle_stage": "text", "attempt": "int", "created": "int",
    "started": "int", "ended": "int", "updated": "int",
}  # fmt: skip
INT_STATS = ("count", "non_finite", "step")
MAPPINGS = {"param": "params", "param_text": "params", "metric": "metrics", "tag": "tags"}


StatReader = Callable[[Sequence[str], Sequence[Key]], Awaitable[Cells]]


class TooManyColumns(ValueError):
    """The runs have more parameters, series and tags than an export has columns."""


class Chosen(NamedTuple):
    """Where the value of a column is: in a field of run documents, params, metrics or tags, or a fact."""

    source: str
    name: str = ""  # in params, metrics or tags
    stat: str = "last"  # of a metric; others than the last value are read in addition


class RunColumn(NamedTuple):
    """A column of the export, and where its value is."""

    column: Column
    chosen: Chosen


class _Params(NamedTuple):
    types: set[str]
    is_wide: bool
    is_huge: bool


def read_column(text: str) -> Chosen:
    """Return a column that is written as in filters: `params.lr`, `min(metrics.loss)`. Raises FilterError."""
    if text in FACTS:
        return Chosen(text)
    order = parse_order(text)
    if order.descending or text.lower().rstrip().endswith((" asc", " desc")):
        raise FilterError(f"{text!r:.200} sorts: a column is a name alone")
    if order.key.kind not in MAPPINGS:
        raise FilterError(f"{text!r:.200} is no column of an export: the facts are {', '.join(FACTS)}")
    return Chosen(MAPPINGS[order.key.kind], order.key.name, order.key.stat)


async def run_columns(
    connection: PooledConnection, documents: RunDocuments, wanted: RunsWanted, chosen: Sequence[Chosen] | None
) -> list[RunColumn]:
    """
    Return the columns of the runs of a search: those that are chosen, in this order, or all that the runs have.

    Raises TooManyColumns.
    """
    params: dict[str, _Params] = {}
    metrics, tags = set[str](), set[str]()
    async for ids in _pages(documents, wanted):
        for row in await connection.fetch(sql("export_params"), ids):
            before = params.get(row["name"], _Params(set(), False, False))
            params[row["name"]] = _Params(
                before.types | set(row["types"]), before.is_wide or row["is_wide"], before.is_huge or row["is_huge"]
            )
        if chosen is None:
            tags |= {row["name"] for row in await connection.fetch(sql("export_tags"), ids)}
            rows = await connection.fetch(sql("export_metrics"), ids)
            metrics |= {series_name(row["name"], row["labels"], row["step_name"]) for row in rows}
            if len(params) + len(metrics) + len(tags) > MAX_COLUMNS:
                raise TooManyColumns
    if chosen is None:
        named = (("params", params), ("metrics", metrics), ("tags", tags))
        chosen = [*map(Chosen, FACTS), *(Chosen(kind, name) for kind, some in named for name in sorted(some))]
    return [RunColumn(_column(one, params), one) for one in chosen]


async def run_blocks(
    documents: RunDocuments, stats: StatReader, wanted: RunsWanted, columns: Sequence[RunColumn]
) -> AsyncGenerator[Block]:
    """Yield a row for each run of a search, in its order. `stats` reads other values of series than the last."""
    readers = [_reader(one) for one in columns]
    keys = [Key("metric", one.chosen.name, one.chosen.stat) for one in columns if one.chosen.stat != "last"]
    at_once = max(1, CELLS_AT_ONCE // max(1, len(columns)))
    rows: list[list[Any]] = []
    async for ids in _pages(documents, wanted):
        cells = (await stats(ids, keys)).columns if keys else []
        beside = {run_id: dict(zip(keys, row, strict=True)) for run_id, *row in zip(ids, *cells, strict=True)}
        async for run_id, text in documents.read(ids):
            document = {**orjson.loads(text), "stats": beside[run_id]}
            rows.append([read(document) for read in readers])
            if len(rows) >= at_once:
                yield Block(len(rows), list(zip(*rows, strict=True)))
                rows = []
    if rows:
        yield Block(len(rows), list(zip(*rows, strict=True)))


async def _pages(documents: RunDocuments, wanted: RunsWanted) -> AsyncGenerator[list[str]]:
    token: str | None = None
    while True:
        page = await documents.find(wanted, limit=RUNS_AT_ONCE, page_token=token)
        if page.places:
            yield [place.run_id for place in page.places]
        token = page.token_after(len(page.places))
        if token is None:
            return


def _column(chosen: Chosen, params: Mapping[str, _Params]) -> Column:
    source, name, stat = chosen
    if source in FACTS:
        return Column(source, FACTS[source])
    if source == "params":
        is_inside = any("json" in params[outer].types for outer, _ in param_paths(name) if outer in params)
        return Column(f"params.{name}", "text" if is_inside else _param_kind(params.get(name)))
    if source == "tags":
        return Column(f"tags.{name}", "text")
    if stat == "last":
        return Column(f"metrics.{name}", "float")
    return Column(f"{stat}(metrics.{name})", "int" if stat in INT_STATS else "float")


def _param_kind(found: _Params | None) -> Kind:
    if found is None:
        return "text"
    if found.types == {"int"} and not found.is_huge:
        return "int"
    if found.types <= {"int", "float"} and not found.is_wide:
        return "float"
    return "bool" if found.types == {"bool"} else "text"


def _reader(column: RunColumn) -> Callable[[Mapping[str, Any]], Any]:
    """Return the function that takes the value of a column out of a run document; None where there is none."""
    kind, (source, name, stat) = column.column.kind, column.chosen
    key = Key("metric", name, stat)

    def read_stat(document: Mapping[str, Any]) -> Any:
        found = document["stats"].get(key)
        return found if found is None or kind == "int" else float_from_json(found)

    def read_metric(document: Mapping[str, Any]) -> Any:
        found = document["metrics"].get(name)
        return None if found is None else float_from_json(found["value"])

    def read_param(document: Mapping[str, Any]) -> Any:
        found = _inside(document["params"], name)
        if found is None:
            return None
        if kind == "text":
            return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return float_from_json(found) if kind == "float" else found

    def read_tag(document: Mapping[str, Any]) -> Any:
        return document["tags"].get(name)

    readers = {"metrics": read_metric if stat == "last" else read_stat, "params": read_param, "tags": read_tag}
    return readers.get(source, lambda document: document[source])


def _inside(params: Mapping[str, Any], name: str) -> Any:
    """Return a parameter, or what is at a path inside a JSON parameter, as filters find it: `net.layers.0`."""
    if name in params:
        return params[name]
    for outer, path in param_paths(name):
        found = params.get(outer)
        for part in path:
            if isinstance(found, list):
                found = found[int(part)] if part.isdecimal() and int(part) < len(found) else None
            else:
                found = found.get(part) if isinstance(found, dict) else None
        if found is not None:
            return found
    return None
