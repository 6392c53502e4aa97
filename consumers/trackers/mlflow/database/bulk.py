"""
Rows of MLflow's tables in bulk: what `log_batch` of its store does (MLflow 3.17), in one transaction of any size.

A metric row that exists is not stored again. The latest row of a metric is the one with the greatest step, then time,
then value; of two that are equal in all three, the first stays. A param keeps its value for good. Rows are written in
the order of their keys, as MLflow does, so that two writers wait for each other instead of blocking each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from consumers.trackers.mlflow.database.connection import Column, Connection, Database
from consumers.trackers.mlflow.metrics import MetricColumns, Metrics
from consumers.trackers.mlflow.requests import Call
from consumers.trackers.mlflow.responses import MISSING, MlflowRefused
from schemas.mapping.mlflow import LARGEST, RUN_NAME_TAG

_BAD = "INVALID_PARAMETER_VALUE"
PAGE_POINTS = 50_000
_NEWER = (
    "(key, run_uuid) DO UPDATE SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step,"
    " is_nan = excluded.is_nan WHERE (excluded.step, excluded.timestamp, excluded.value)"
    " > (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)"
)
_TAGGED = (
    "SELECT runs.run_uuid FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid"
    " JOIN experiments ON experiments.experiment_id = runs.experiment_id"
    " WHERE tags.key = ? AND tags.value = ? AND experiments.lifecycle_stage = 'active'"
)
_METRIC_TYPES = {"key": "text", "value": "float8", "timestamp": "int8", "step": "int8", "is_nan": "bool"}


class Rows(NamedTuple):
    """What a call writes, in the form of MLflow's tables and in the order of the keys."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Sequence[Column]
    latest: Sequence[Column]  # of the metrics, the one row for each key


def rows_of(call: Call) -> Rows:
    """Return the rows of a call. Pure, and outside any transaction, because others wait for that."""
    params, tags = dict(sorted(call.params.items())), dict(sorted(call.tags.items()))
    if tags.get(RUN_NAME_TAG) == "":
        del tags[RUN_NAME_TAG]  # MLflow ignores an empty name
    if not call.metrics:
        return Rows(params, tags, (), ())
    metrics = Metrics.of(call.metrics)
    order = sorted(range(len(metrics)), key=metrics.keys.__getitem__)
    keys, times, steps = ([column[row] for row in order] for column in (metrics.keys, metrics.times_ms, metrics.steps))
    values, nans = _stored([metrics.values[row] for row in order])
    columns: Sequence[Sequence[Any]] = (keys, values, times, steps, nans)
    points = zip(keys, steps, times, values, range(0, -len(keys), -1), strict=True)
    chosen = [-max(some)[4] for _, some in groupby(points, itemgetter(0))]  # of equal ones the first
    return Rows(params, tags, _columns(columns), _columns([column[row] for row in chosen] for column in columns))


def log_batch(connection: Connection, run: str, rows: Rows) -> None:
    """Write rows of a run. Raises MlflowRefused: no such run, one in the trash, a param with another value."""
    stages = connection.select("SELECT lifecycle_stage FROM runs WHERE run_uuid = ?", run)
    if not stages:
        raise MlflowRefused(f"Run with id={run} not found", code=MISSING)
    if stages[0][0] != "active":
        raise MlflowRefused(f"The run {run} must be in the 'active' state. Current state is {stages[0][0]}.", code=_BAD)
    if rows.params:
        _log_params(connection, run, rows.params)
    if rows.metrics:
        connection.insert("metrics", run, rows.metrics, "DO NOTHING")
        connection.insert("latest_metrics", run, rows.latest, _NEWER)
    if rows.tags:
        connection.insert("tags", run, _texts(rows.tags), "(key, run_uuid) DO UPDATE SET value = excluded.value")
    if RUN_NAME_TAG in rows.tags:
        connection.execute("UPDATE runs SET name = ? WHERE run_uuid = ?", rows.tags[RUN_NAME_TAG], run)


def tagged_runs(connection: Connection, *, tag: str, value: str) -> list[str]:
    """Return the ids of runs that have this tag, in the trash or not, but not those of deleted experiments."""
    return [str(row[0]) for row in connection.select(_TAGGED, tag, value)]


def metric_columns(database: Database, run: str) -> Iterator[MetricColumns]:
    """
    Yield every point of a run, a page at a time.

    A page is a transaction of its own: in SQLite, a reader keeps others from writing.
    """

    def page(after: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        sql = page_sql(is_first=not after)
        return database.read(lambda connection: connection.select(sql, run, *after, PAGE_POINTS))

    rows = page(())
    while rows:
        for key, some in groupby(rows, itemgetter(0)):
            _, steps, times, values, nans = zip(*some, strict=True)
            if any(nans):
                values = tuple(math.nan if is_nan else value for value, is_nan in zip(values, nans, strict=True))
            yield MetricColumns(key, values, times, steps)
        rows = page(rows[-1]) if len(rows) == PAGE_POINTS else []


def page_sql(*, is_first: bool) -> str:
    """Return the query of a page of points, in the order of an index, as far as that goes: run, key and step."""
    after = "" if is_first else " AND (key, step, timestamp, value, is_nan) > (?, ?, ?, ?, ?)"
    return (
        f"SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ?{after}"
        " ORDER BY key, step, timestamp, value, is_nan LIMIT ?"
    )


def _log_params(connection: Connection, run: str, params: Mapping[str, str]) -> None:
    connection.insert("params", run, _texts(params), "DO NOTHING")
    held = dict(connection.select("SELECT key, value FROM params WHERE run_uuid = ?", run))
    if changed := sorted(key for key, text in params.items() if held[key] != text):
        raise MlflowRefused(
            f"Changing param values is not allowed. Run {run} has other values of {changed!r:.200}", code=_BAD
        )


def _texts(texts: Mapping[str, str]) -> list[Column]:
    return [Column("key", "text", list(texts)), Column("value", "text", list(texts.values()))]


def _stored(values: Sequence[float]) -> tuple[Sequence[float], Sequence[bool]]:
    """Return values as MLflow stores them, NaN as 0 and infinities clipped, and which of them are NaN."""
    if all(map(math.isfinite, values)):
        return values, (False,) * len(values)
    nans = [math.isnan(value) for value in values]
    clipped = (min(max(value, -LARGEST), LARGEST) for value in values)
    return [0.0 if is_nan else value for value, is_nan in zip(clipped, nans, strict=True)], nans


def _columns(found: Iterable[Sequence[Any]]) -> list[Column]:
    return [Column(name, kind, values) for (name, kind), values in zip(_METRIC_TYPES.items(), found, strict=True)]
