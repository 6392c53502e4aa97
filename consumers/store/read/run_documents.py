"""
Run documents: everything about runs but their points, for many runs with two statements.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

from consumers.store.pool import PooledConnection
from consumers.store.read.documents import plain
from consumers.store.statements import sql
from schemas.api import LastPoint, RunDocument
from schemas.columns import float_to_json
from schemas.names import series_name

DOCUMENTS_AT_ONCE = 100


async def read_documents(
    connection: PooledConnection, run_ids: Sequence[str], lost_after_s: float
) -> AsyncGenerator[RunDocument]:
    """Yield the documents of these runs in this order, a few at a time; unknown and deleted runs are left out."""
    for first in range(0, len(run_ids), DOCUMENTS_AT_ONCE):
        wanted = list(run_ids[first : first + DOCUMENTS_AT_ONCE])
        runs = await connection.fetch(sql("get_run_documents"), wanted, lost_after_s)
        newest: dict[str, list[Any]] = {}
        for row in await connection.fetch(sql("get_newest_points"), wanted):
            newest.setdefault(row["run_id"], []).append(row)
        for run in runs:
            yield _document(run, newest.get(run["run_id"], ()))


def _document(run: Any, series: Iterable[Any]) -> RunDocument:
    metrics: dict[str, LastPoint] = {}
    for row in series:  # first attempt first: the newest one that has the series counts
        name = series_name(row["name"], row["labels"], row["step_name"])
        before = metrics.get(name)
        metrics[name] = LastPoint.model_construct(  # values in the store were validated before they were written
            step=row["last_step"],
            time=row["last_time"],
            value=float_to_json(row["last_value"]),
            integer=row["integer"] and (before is None or before.integer),
        )
    facts = {
        name: run[name] for name in RunDocument.model_fields if name not in ("params", "tags", "labels", "metrics")
    }
    return RunDocument.model_construct(
        **facts,
        params={name: plain(value) for name, value in (run["params"] or {}).items()},
        tags=run["tags"] or {},
        labels={name: plain(value) for name, value in (run["labels"] or {}).items()},
        metrics=metrics,
    )
