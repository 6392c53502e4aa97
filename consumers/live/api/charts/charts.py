"""
Endpoint `POST /v1/series`: charts of series of many runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from math import isfinite
from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.charts.questions import (
    MAX_NAMES_ASKED,
    MAX_POINTS,
    Buckets,
    RangeQuestion,
    SeriesQuestion,
    Token,
    refuse_scattered,
    refuse_unknown,
)
from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.responses import list_response, rendered
from consumers.live.api.run_documents import read_question
from consumers.live.api.runs import EXAMPLES
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.charts.chart import NOTHING, Chart
from consumers.store.read.charts.found import FoundSeries, Match, Meaning, RunCharted, SeriesPageFound
from consumers.store.read.charts.series import SeriesChart, extremes
from consumers.store.read.charts.summaries import KINDS, Odd, Window
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.page_token import TokenError
from consumers.store.search.regexes import BadRegex
from schemas.api.series import ChartColumns, ChartMark, ChartsPage, ReplacedPoints, SeriesChartDocument
from schemas.columns import float_to_json
from schemas.names import series_name


class ChartsQuestion(SeriesQuestion):
    """Which charts are asked for."""

    buckets: Buckets = 1_000
    range: RangeQuestion = Field(default=RangeQuestion(), description="taken before points are put into buckets")
    superseded: bool = Field(default=False, description="answer also what later attempts replaced")
    limit: Annotated[int, Field(ge=1, le=MAX_NAMES_ASKED)] = Field(default=MAX_NAMES_ASKED, description="series a page")
    points_limit: Annotated[int, Field(ge=1, le=MAX_POINTS)] = Field(
        default=MAX_POINTS, description="a page ends after the series with which it has so many points"
    )
    page_token: Token | None = None


async def series_charts(request: Request) -> Response:
    """
    Return charts of series: of each bucket its first, lowest, highest and last point, at their true steps and times.

    A range with at most 4 points a bucket is answered whole. The next page follows with `page_token`.
    """
    question = await read_question(request, ChartsQuestion, 400)
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        runs = await now.series_charts.runs(question.runs)
        refuse_unknown(question.runs, runs)
        page = await found_page(now, question.runs, question.matching(), question.limit, question.page_token)
        windows = {run_id: question.range.window(run) for run_id, run in runs.items()}
        with refuse_scattered():
            items = await rendered(_documents(now, page, runs, windows, question), _points, question.points_limit)
    rest = ChartsPage(
        as_of=write_positions(folded), series=[], total=page.total,
        next_page_token=None if page.is_last and len(items) == len(page.series) else page.series[len(items) - 1].token,
    )  # fmt: skip
    return list_response(rest, "series", items, folded)


async def found_page(
    now: Snapshot, run_ids: Sequence[str], match: Match, limit: int, page_token: str | None
) -> SeriesPageFound:
    """Return a page of series. Raises Failure 400 for a wrong token or regular expression."""
    try:
        return await now.series_charts.find(run_ids, match, limit=limit, page_token=page_token)
    except TokenError as error:
        raise Failure(400, f"page_token: {error}", EXAMPLES["page_token"]) from None
    except BadRegex as error:
        next_step = "write a regular expression of PostgreSQL, for example ^(train|val)/loss$"
        raise Failure(400, f"match.regex: {error}", next_step) from None


async def _documents(
    now: Snapshot, page: SeriesPageFound, runs: dict[str, RunCharted], windows: dict[str, Window], asked: ChartsQuestion
) -> AsyncGenerator[SeriesChartDocument]:
    meanings = await now.series_charts.meanings(list({one.run_id for one in page.series}))
    wanted = [(one.rows, windows[one.run_id]) for one in page.series if runs[one.run_id].points_dropped is None]
    async with aclosing(now.series_charts.charts(wanted, asked.buckets, superseded=asked.superseded)) as drawn:
        for one in page.series:
            dropped = runs[one.run_id].points_dropped
            found = SeriesChart(NOTHING) if dropped is not None else (await anext(drawn))[1]
            newest = one.rows[-1]
            written = series_name(newest["name"], newest["labels"], newest["step_name"])
            yield _document(one, written, found, meanings.of(one.run_id, written), dropped)


def _document(
    series: FoundSeries, written: str, found: SeriesChart, meaning: Meaning, dropped: int | None
) -> SeriesChartDocument:
    newest, (low, high), chart = series.rows[-1], extremes(series.rows), found.chart
    return SeriesChartDocument.model_construct(  # values in the store were validated before they were written
        run_id=series.run_id,
        series=written,
        name=newest["name"],
        step_name=newest["step_name"],
        labels=newest["labels"],
        count=sum(row["points"] for row in series.rows),
        in_range=chart.in_range,
        exact=chart.is_exact and dropped is None,
        non_finite=sum(row["non_finite"] for row in series.rows),
        last_step=newest["last_step"],
        last=float_to_json(newest["last_value"]),
        min=None if low is None else float_to_json(low),
        max=None if high is None else float_to_json(high),
        goal=meaning.goal,
        unit=meaning.unit,
        columns=_columns(chart),
        marks=[_mark(one) for one in chart.odd],
        attempts=[
            ReplacedPoints.model_construct(
                attempt=one.attempt, from_step=one.from_step, in_range=one.chart.in_range, exact=one.chart.is_exact,
                columns=_columns(one.chart),
            )
            for one in found.superseded
        ],
        points_dropped=dropped,
    )  # fmt: skip


def _columns(chart: Chart) -> ChartColumns:
    return ChartColumns.model_construct(
        steps=[one.step for one in chart.samples],
        times=[one.time for one in chart.samples],
        values=[one.value if isfinite(one.value) else float_to_json(one.value) for one in chart.samples],
    )


def _mark(odd: Odd) -> ChartMark:
    kinds = [kind for bit, kind in enumerate(KINDS) if odd.kinds & 1 << bit]
    return ChartMark.model_construct(step=odd.step, time=odd.time, count=odd.points, kinds=kinds)


def _points(document: SeriesChartDocument, _: bytes) -> int:
    return 1 + len(document.columns.steps) + sum(len(one.columns.steps) for one in document.attempts)
