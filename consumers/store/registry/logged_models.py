"""
Read logged models within one snapshot of the store, and translate a filter of them into SQL.

What people typed is always a parameter. A comparison of a metric holds if any of its points fits; a sorted metric is
the last point by time, step and run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.read.artifacts import ArtifactChoice, ArtifactsFound, find_artifacts
from consumers.store.search.conditions import compare_column, condition_of
from consumers.store.search.filter_terms import All, Compare, Facts, Kind, Node
from consumers.store.search.sql_builder import filled
from consumers.store.statements import sql
from schemas.api import DatasetChoice, LoggedModelDocument, LoggedModelOrder, ModelPointDocument
from schemas.columns import float_to_json

NAMED: tuple[Kind, ...] = ("metric", "param", "tag")
FACTS: Facts = {
    **{name: ("text", name) for name in ("model_id", "experiment_id", "name", "model_type", "source_run_id", "status")},
    "created": ("time", "created"),
    "updated": ("time", "updated"),
}
DOCUMENTS_AT_ONCE = 5
_METRIC = "metrics."


class LoggedModelSearch(NamedTuple):
    """Which logged models are wanted."""

    experiment_ids: Sequence[str] | None  # None: of all experiments
    filter: Node = All(())
    datasets: Sequence[DatasetChoice] = ()
    order: Sequence[LoggedModelOrder] = ()
    limit: int = 100
    offset: int = 0


class LoggedModelReader:
    """Queries about logged models on the connection of one snapshot."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def search(self, wanted: LoggedModelSearch) -> list[Any]:
        """Return the rows of the models that are wanted, in the order that is asked for."""
        statement, parameters = _statement(wanted)
        return await self._connection.fetch(statement, *parameters)

    async def documents(self, rows: Sequence[Any]) -> AsyncGenerator[LoggedModelDocument]:
        """Yield the models of these rows with their points, of which each may have many."""
        for first in range(0, len(rows), DOCUMENTS_AT_ONCE):
            for one in await self._documents(rows[first : first + DOCUMENTS_AT_ONCE]):
                yield one

    async def get(self, model_id: str) -> LoggedModelDocument | None:
        """Return a model, also a deleted one; None if there is none with this id."""
        found = await self._documents(await self._connection.fetch(sql("get_logged_model"), model_id))
        return found[0] if found else None

    async def artifacts(self, model_id: str, choice: ArtifactChoice) -> ArtifactsFound:
        """Return a page of the files of a model, as of those of a run."""
        return await find_artifacts(self._connection, model_id, choice, "list_model_artifacts")

    async def _documents(self, rows: Sequence[Any]) -> list[LoggedModelDocument]:
        points: dict[str, list[ModelPointDocument]] = {row["model_id"]: [] for row in rows}
        for row in await self._connection.fetch(sql("model_points"), list(points)):
            value = float_to_json(row["value"])
            points[row["model_id"]].append(ModelPointDocument(**{**row, "value": value}))
        return [
            LoggedModelDocument(
                **row, state="deleted" if row["deleted"] else "active", points=points[row["model_id"]]
            )
            for row in rows
        ]  # fmt: skip


def is_order(key: str) -> bool:
    """Tell whether models can be sorted by this key."""
    return key in FACTS or (key.startswith(_METRIC) and len(key) > len(_METRIC))


def _statement(wanted: LoggedModelSearch) -> tuple[str, list[Any]]:
    builder = _Builder(wanted.datasets)
    conditions = [condition_of(wanted.filter, builder.compare)]
    if wanted.experiment_ids is not None:
        conditions.append(f"r.experiment_id = ANY ({builder.add(list(wanted.experiment_ids), 'text[]')})")
    if wanted.datasets and not builder.has_metrics:
        conditions.append(filled(sql("has_model_point"), {"test": builder.on_any(wanted.datasets)}))
    parts = {
        "condition": " AND ".join(conditions),
        "order": ", ".join([*map(builder.order, wanted.order), *_last(wanted.order)]),
        "limit": builder.add(wanted.limit, "bigint"),
        "offset": builder.add(wanted.offset, "bigint"),
    }
    return filled(sql("find_logged_models"), parts), builder.parameters


def _sorted(key: str) -> str:
    if key == "status":
        return "array_position('{unspecified,pending,ready,failed}'::text[], r.status)"
    return f"r.{key}" if FACTS[key][0] == "time" else f'r.{key} COLLATE "C"'


def _last(order: Sequence[LoggedModelOrder]) -> list[str]:
    keys = {one.key for one in order}
    return [text for key, text in (("created", "r.created DESC"), ("model_id", "r.model_id")) if key not in keys]


class _Builder:
    """Builds the parts of one statement and collects its parameters."""

    def __init__(self, datasets: Sequence[DatasetChoice]) -> None:
        self._datasets, self.parameters, self.has_metrics = datasets, list[Any](), False

    def compare(self, one: Compare) -> str:
        kind, name, _ = one.key
        if kind == "metric":
            self.has_metrics = True
            test = f"p.name = {self.add(name, 'text')} AND {self._test('p.value', one)}"
            if self._datasets:
                test += f" AND {self.on_any(self._datasets)}"
            found = filled(sql("has_model_point"), {"test": test})
            return f"(NOT {found})" if one.op == "is null" else found
        if kind in ("param", "tag"):
            column, key = f"r.{kind}s", self.add(name, "text")
            if not one.values:
                return f"({'NOT ' if one.op == 'is null' else ''}{column} ? {key})"
            return f"coalesce({self._test(f'({column} ->> {key})', one)}, false)"  # without it, it is NULL
        if not one.values:
            empty = f"r.{name} = ''" if kind == "text" else "false"
            return f"({empty})" if one.op == "is null" else f"(NOT {empty})"
        return f"({self._test(f'r.{name}', one)})"

    def on_any(self, datasets: Sequence[DatasetChoice]) -> str:
        """Return a condition on `p`, a point: it is of one of these datasets."""
        return f"({' OR '.join(map(self._on, datasets))})"

    def order(self, one: LoggedModelOrder) -> str:
        direction = "DESC" if one.descending else "ASC"
        if not one.key.startswith(_METRIC):
            return f"{_sorted(one.key)} {direction}"
        name = self.add(one.key.removeprefix(_METRIC), "text")
        test = "true" if one.dataset is None else self._on(one.dataset)
        return f"{filled(sql('last_model_value'), {'name': name, 'test': test})} {direction} NULLS LAST"

    def _on(self, dataset: DatasetChoice) -> str:
        wanted = [("name", dataset.name), ("digest", dataset.digest)]
        tests = [f"p.dataset_{field} = {self.add(text, 'text')}" for field, text in wanted if text]
        return f"({' AND '.join(tests) or 'true'})"

    def _test(self, column: str, one: Compare) -> str:
        return compare_column(column, one, self.add) if one.values else "true"

    def add(self, value: Any, kind: str) -> str:
        """Add a parameter, and return what names it in the statement."""
        self.parameters.append(value)
        return f"${len(self.parameters)}::{kind}"
