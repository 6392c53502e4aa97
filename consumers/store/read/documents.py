"""
Turn stored rows into the run log.

Pure: rows in, run log out. schemas/runlog.py defines its form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from consumers.store.read.branches import nest
from consumers.store.read.charts.summaries import Sample
from schemas.api import RunSummary
from schemas.columns import float_to_json
from schemas.events import MAIN_STEP
from schemas.names import series_name
from schemas.runlog import (
    STATUS,
    AttemptLog,
    CodeIdentityLog,
    Completeness,
    DataCatalogLog,
    RunLog,
    StepLog,
    duration_text,
    time_text,
)
from schemas.values import Typed, to_plain

Row = Any  # asyncpg.Record: a mapping by column, but no Mapping to a type checker
TYPED: TypeAdapter[Typed] = TypeAdapter(Typed)


@dataclass(frozen=True, kw_only=True)
class RunRows:
    """All rows of one run except its points."""

    run: Row
    steps: Sequence[Row]
    attempts: Sequence[Row]
    params: Sequence[Row]
    tags: Sequence[Row]
    labels: Sequence[Row]
    artifacts: Sequence[Row]
    code: Sequence[Row]
    producers: Sequence[Row]
    observations: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class SeriesPoints:
    """Points of one written series of one named step, attempts merged, sorted."""

    step_name: str
    name: str  # with labels
    integer: bool
    total: int  # number of points in the store; larger than that of `points` if only the last are shown
    points: Sequence[Sample]


def plain(value: Any) -> Any:
    """Return a stored typed value in the form of the documents."""
    if value["type"] == "string":  # the most frequent, as it is
        return value["value"]
    return to_plain(TYPED.validate_python(value))


def run_summary(row: Row, last: dict[str, float | str], best: Mapping[str, float] = {}) -> RunSummary:
    """Return the entry of a run in a list, from a row of `list_runs`, last and best values by written name."""
    return RunSummary(
        run_id=row["run_id"],
        name=row["name"],
        tag=row["tag"],
        group=row["group_name"],
        experiment_id=row["experiment_id"],
        experiment=row["experiment"],
        lifecycle_stage=row["lifecycle_stage"],
        state=row["state"],
        message=row["message"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        updated=row["updated"],
        attempt=row["attempt"],
        points=row["points"],
        params={name: plain(value) for name, value in (row["params"] or {}).items()},
        tags=row["tags"] or {},
        last=last,
        best=dict(best),
        points_dropped=row["points_dropped"],
    )


def run_log(rows: RunRows, series: Iterable[SeriesPoints]) -> RunLog:
    """Return the run log of one run."""
    run = rows.run
    series = list(series)
    steps = {row["step_name"]: _step(row, rows, series) for row in rows.steps}
    if len(steps) > 1 and MAIN_STEP in steps and _is_empty(steps[MAIN_STEP]):
        del steps[MAIN_STEP]  # everything in this run happened in named steps
    return RunLog(
        run_id=run["run_id"],
        dag_hash=run["dag_hash"],
        use_cached=run["use_cached"],
        tag=run["tag"],
        original_run_id=run["original_run_id"],
        status=STATUS[run["shown"]],
        steps=nest(steps),
        parameters={row["name"]: plain(row["value"]) for row in rows.params if not row["superseded"]},
        run_config=run["run_config"],
        name=run["name"],
        group=run["group_name"],
        parent_run_id=run["parent_run_id"],
        state=run["shown"],
        message=run["message"],
        start_time=time_text(run["started"]),
        end_time=time_text(run["ended"]),
        experiment_id=run["in_experiment"],
        experiment=run["experiment"],
        lifecycle_stage=run["lifecycle_stage"],
        tags={row["name"]: row["value"] for row in rows.tags},
        labels={row["name"]: plain(row["value"]) for row in rows.labels},
        note=run["note"],
        environment={name: plain(value) for name, value in run["environment"].items()},
        completeness=[_completeness(row) for row in rows.producers],
        points_dropped=time_text(run["points_dropped"]),
        shortened={
            series_name(one.name, step_name=one.step_name): one.total for one in series if one.total > len(one.points)
        },
    )


def _step(row: Row, rows: RunRows, series: Sequence[SeriesPoints]) -> StepLog:
    name = row["step_name"]
    return StepLog(
        name=row["name"],
        internal_name=name,
        status=STATUS[row["state"]],
        step_type=row["step_type"],
        message=row["message"],
        mock=row["mock"],
        code_identities=[_code(one) for one in rows.code if one["step_name"] == name],
        attempts=[_attempt(one, rows) for one in rows.attempts if one["step_name"] == name],
        user_defined_metrics=_metrics(
            [one for one in series if one.step_name == name],
            [seen for seen in rows.observations if seen["step_name"] == name],
        ),
        data_catalog=[_artifact(rows.run["run_id"], one) for one in rows.artifacts if one["step_name"] == name],
    )


def _attempt(row: Row, rows: RunRows) -> AttemptLog:
    mine = (row["step_name"], row["attempt"])
    params = [one for one in rows.params if (one["step_name"], one["attempt"]) == mine]
    return AttemptLog(
        attempt_number=row["attempt"],
        start_time=time_text(row["started"]),
        end_time=time_text(row["ended"]),
        duration=duration_text(row["started"], row["ended"]),
        status=STATUS[row["state"]],
        message=row["message"],
        parameters={one["name"]: plain(one["value"]) for one in params},
    )


def _metrics(series: Iterable[SeriesPoints], observations: Iterable[Row]) -> dict[str, Any]:
    """
    Return the values of all series of a step: points and observations of one name together, by step.

    A step with several values, of either kind, shows the one with the latest time.
    """
    points = {one.name: one for one in series}
    found: dict[str, list[tuple[int, int, Any]]] = {name: [] for name in points}
    for row in observations:
        written = series_name(row["name"], row["labels"])
        found.setdefault(written, []).append((row["step"], row["time"], plain(row["value"])))
    for name, values in found.items():
        if name in points:
            one = points[name]
            numbers = [(point.step, point.time, _number(point.value, one.integer)) for point in one.points]
            values[:0] = numbers
            if len(values) == len(numbers):
                continue  # in order already
        values.sort(key=lambda value: value[:2])  # stable: of two values at one time the observation shows
    return {name: _by_step([(step, value) for step, _, value in values]) for name, values in found.items()}


def _by_step(values: Sequence[tuple[int, Any]]) -> Any:
    """Return a scalar for one value at step 0, else an object by step. The last value of a step counts."""
    by_step = dict(values)
    if list(by_step) == [0]:
        return by_step[0]
    return {str(step): value for step, value in by_step.items()}


def _number(value: float, integer: bool) -> int | float | str:
    return int(value) if integer and value.is_integer() else float_to_json(value)


def _code(row: Row) -> CodeIdentityLog:
    return CodeIdentityLog(**{name: row[name] for name in CodeIdentityLog.model_fields})


def _artifact(run_id: str, row: Row) -> DataCatalogLog:
    path, place = _in_catalog(run_id, row["name"], row["uri"])
    return DataCatalogLog(
        name=row["name"],
        data_hash=row["sha256"],
        catalog_relative_path=path,
        catalog_handler_location=place,
        stage=row["stage"],
    )


def _in_catalog(run_id: str, name: str, uri: str) -> tuple[str, str]:
    """
    Return the path of an artifact below the catalog that holds it, and the place of that catalog.

    Magnus stores a file as `<catalog>/<run id>/<name>`, and writes `<catalog>/<name>` of one that a step loaded;
    runnable writes no catalog. Other places are named by a URI, which is shown whole.
    """
    paths = (f"{run_id}/{name}", name) if ":" not in uri else (f"{run_id}/{name}",)
    for path in paths:
        if f"/{uri}".endswith(f"/{path}"):
            return path, uri.removesuffix(path).removesuffix("/")
    return name, uri


def _completeness(row: Row) -> Completeness:
    lost = sum(end - first for first, end in row["missing"])
    return Completeness(
        producer=row["producer"],
        received=row["next_seq"] - lost,
        expected=row["expected"],
        missing=[(first, end) for first, end in row["missing"]],
        refused_duplicates=row["refused"],
        dropped_points=row["dropped"],
        author=row["author"],
    )


def _is_empty(step: StepLog) -> bool:
    parameters = any(attempt.parameters for attempt in step.attempts)
    return not (step.user_defined_metrics or step.data_catalog or step.code_identities or parameters)
