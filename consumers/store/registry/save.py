"""
Save what a batch of requests changed, in the transaction of the batch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from consumers.store.pool import PooledConnection
from consumers.store.registry.rows import RegistryChanges
from consumers.store.statements import sql


async def save_registry(connection: PooledConnection, changes: RegistryChanges) -> None:
    """Write rows and decisions; first what is gone, because a name of it may be in use again."""
    if changes.gone_models:
        await connection.execute(sql("drop_models"), list(changes.gone_models))
    for name, gone in _gone(changes):
        if gone:
            await connection.execute(sql(name), *map(list, zip(*gone, strict=True)))
    if changes.names:
        await connection.execute(sql("save_experiment_names"), list(changes.names), list(changes.names.values()))
    tables: dict[str, Collection[Any]] = {
        "save_experiments": changes.experiments.values(),
        "save_models": changes.models.values(),
        "save_model_versions": changes.versions.values(),
        "save_model_aliases": changes.aliases.values(),
        "save_logged_models": changes.logged_models.values(),
        "save_model_points": changes.points,
        "save_model_artifacts": changes.artifacts.values(),
        "save_items": changes.saved.values(),
        "save_item_versions": changes.saved_versions,
        "save_decisions": changes.decisions,
    }
    for name, rows in tables.items():
        if rows:
            await connection.execute(sql(name), orjson.dumps(list(rows)).decode())


def _gone(changes: RegistryChanges) -> list[tuple[str, Collection[tuple[Any, Any]]]]:
    return [
        ("drop_model_versions", changes.gone_versions),
        ("drop_model_aliases", changes.gone_aliases),
        ("drop_model_artifacts", changes.gone_artifacts),
    ]
