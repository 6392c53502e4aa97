"""
`GET /v1/export/points` and `GET /v1/export/runs`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.export.arrow_form import ARROW_TYPE, PARQUET_TYPE, ArrowForm
from consumers.live.api.export.csv_form import MEDIA_TYPE, CsvForm
from consumers.live.api.export.response import Export, ExportResponse, Form
from consumers.live.api.runs import MAX_FILTER, parsed, unknown_run
from consumers.store.export.blocks import Column
from consumers.store.export.points import COLUMNS, SUPERSEDED
from consumers.store.export.runs import MAX_COLUMNS, Chosen, TooManyColumns, read_column
from consumers.store.offsets import CONSUMER
from consumers.store.read.run_documents import RunsWanted
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import Key, Order
from consumers.store.search.filter_tokens import FilterError

MAX_RUNS = 1_000
MAX_NAMES = 1_000
NEWEST = (Order(Key("time", "created"), True),)
Format = Literal["csv", "parquet", "arrow"]
FORMS: dict[str, tuple[str, Callable[[Sequence[Column]], Form]]] = {
    "csv": (MEDIA_TYPE, CsvForm),
    "parquet": (PARQUET_TYPE, partial(ArrowForm, parquet=True)),
    "arrow": (ARROW_TYPE, partial(ArrowForm, parquet=False)),
}


def add_routes(router: APIRouter) -> None:
    """Add the routes of exports."""
    router.add_api_route("/v1/export/points", export_points, response_class=StreamingResponse)
    router.add_api_route("/v1/export/runs", export_runs, response_class=StreamingResponse)


async def export_points(
    request: Request,
    run_id: Annotated[list[str], Query(min_length=1, max_length=MAX_RUNS)],
    name: Annotated[list[str] | None, Query(max_length=MAX_NAMES)] = None,
    format: Format = "csv",
    superseded: bool = False,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> ExportResponse:
    """
    Download every point of runs, of all series or of those with these written names, however many there are.

    The columns are run_id, series, attempt, step, time (µs) and value. Of steps that a later attempt repeated only its
    points are there; with `superseded` those that it replaced, too, and a column that says so.
    """
    refuse_zero_bytes(run_id=run_id, name=name or ())
    connections = connections_of(request)
    check_form(format)
    await until_folded(connections, min_offsets, timeout_s)
    run_ids = list(dict.fromkeys(run_id))
    opened = _points(connections, run_ids, name, superseded=superseded)
    what = run_ids[0] if len(run_ids) == 1 else f"{len(run_ids)}-runs"
    return _answer(opened, format, f"points-{what}")


async def export_runs(
    request: Request,
    where: Annotated[str, Query(max_length=MAX_FILTER)] = "",
    column: Annotated[list[str] | None, Query(max_length=MAX_COLUMNS)] = None,
    format: Format = "csv",
    stage: Literal["active", "deleted", "all"] = "active",
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> ExportResponse:
    """
    Download the runs that match a filter, newest first: one row each, however many there are.

    A column is named as in filters: `params.lr`, `metrics.loss` (the last value), `min(metrics.loss)`, `tags.team`, or
    a fact such as `state`. Without `column` there are all facts, parameters, series and tags that the runs have.
    """
    refuse_zero_bytes(column=column or ())
    wanted = RunsWanted(parsed("where", parse_filter, where), None if stage == "all" else stage, None, NEWEST)
    try:
        chosen = None if column is None else [read_column(text) for text in dict.fromkeys(column)]
    except FilterError as error:
        raise Failure(400, f"parameter column: {error}", "write for example params.lr, metrics.loss, state") from None
    connections = connections_of(request)
    check_form(format)
    await until_folded(connections, min_offsets, timeout_s)
    return _answer(_runs(connections, wanted, chosen), format, "runs")


def _answer(opened: AbstractAsyncContextManager[Export], format: Format, name: str) -> ExportResponse:
    media_type, form = FORMS[format]
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:100]  # in a header: neither quotes nor line breaks
    return ExportResponse(opened, form, media_type=media_type, filename=f"{safe}.{format}")


@asynccontextmanager
async def _points(
    connections: Connections, run_ids: Sequence[str], names: Sequence[str] | None, *, superseded: bool
) -> AsyncIterator[Export]:
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        known = await now.exports.known_runs(run_ids)
        if known.unknown:
            raise unknown_run(known.unknown[0])
        if known.dropped:
            raise Failure(
                410, f"retention dropped the points of run {known.dropped[0]:.300}",
                "leave it out; GET /v1/runs has its last values",
            )  # fmt: skip
        columns = (*COLUMNS, SUPERSEDED) if superseded else COLUMNS
        yield Export(columns, now.exports.points(run_ids, names, superseded=superseded), folded)


@asynccontextmanager
async def _runs(connections: Connections, wanted: RunsWanted, chosen: Sequence[Chosen] | None) -> AsyncIterator[Export]:
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            columns = await now.exports.run_columns(wanted, chosen)
        except TooManyColumns:
            raise Failure(
                400, f"the runs have more than {MAX_COLUMNS:,} parameters, series and tags",
                "choose columns with column=params.lr&column=metrics.loss, or fewer runs with where",
            ) from None  # fmt: skip
        yield Export([one.column for one in columns], now.exports.runs(wanted, columns), folded)


def check_form(format: Format) -> None:
    """Raise Failure for a format that this installation cannot write."""
    if format != "csv" and find_spec("pyarrow") is None:
        raise Failure(
            400, f"format {format} needs pyarrow, which the server lacks",
            'install it there with `pip install "tracking-gateway[parquet]"`, or ask for format=csv',
        )  # fmt: skip


def refuse_zero_bytes(**parameters: Sequence[str]) -> None:
    """Raise Failure for text with U+0000, which no name and no run id has."""
    for name, texts in parameters.items():
        if any("\x00" in text for text in texts):
            raise Failure(400, f"parameter {name}: it must not contain U+0000", f"correct {name}")
