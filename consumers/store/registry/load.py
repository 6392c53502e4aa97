"""
Load the stored rows that a batch of requests may need.
"""

from __future__ import annotations

from collections.abc import Collection, Set

from consumers.store.pool import Database
from consumers.store.registry.rows import (
    ExperimentRow,
    LoggedModelRow,
    ModelAliasRow,
    ModelRow,
    ModelVersionRow,
    SavedItemRow,
)
from consumers.store.statements import sql

RequestKey = tuple[str, str, int]  # collection, producer, seq


async def load_decided(database: Database, requests: Collection[RequestKey]) -> list[RequestKey]:
    """Return those of these requests that were decided before."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("load_decided"), *_columns(requests, 3))
    return [(row["collection"], row["producer"], row["seq"]) for row in rows]


async def load_experiments(database: Database, ids: Set[str], names: Set[str]) -> list[ExperimentRow]:
    """Return the experiments with one of these ids or names."""
    if not ids and not names:
        return []
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("load_experiments"), list(ids), list(names))
    return [ExperimentRow(**row) for row in rows]


async def load_models(
    database: Database, names: Set[str], versions: Set[tuple[str, int]], stages: Set[tuple[str, str]]
) -> tuple[list[ModelRow], list[ModelVersionRow], list[ModelAliasRow]]:
    """Return the models with these names, their aliases, and the versions given by name and number, or stage."""
    if not names:
        return [], [], []
    async with database.acquire() as connection:
        models = await connection.fetch(sql("load_models"), list(names))
        found = await connection.fetch(sql("load_model_versions"), *_columns(versions, 2), *_columns(stages, 2))
        aliases = await connection.fetch(sql("load_model_aliases"), list(names))
    return (
        [ModelRow(**row) for row in models],
        [ModelVersionRow(**row) for row in found],
        [ModelAliasRow(**row) for row in aliases],
    )


async def load_logged_models(database: Database, ids: Set[str]) -> list[LoggedModelRow]:
    """Return the logged models with these ids."""
    if not ids:
        return []
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("load_logged_models"), list(ids))
    return [LoggedModelRow(**row) for row in rows]


async def load_saved(database: Database, wanted: Set[tuple[str, str]]) -> list[SavedItemRow]:
    """Return the views and rules with these collections and ids, without what their versions hold."""
    if not wanted:
        return []
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("load_saved_items"), *_columns(wanted, 2))
    return [SavedItemRow(**row) for row in rows]


def _columns(rows: Collection[tuple[str | int, ...]], count: int) -> list[list[str | int]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]
