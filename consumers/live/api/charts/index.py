"""
Endpoint `POST /v1/series/index`: every series of runs without points, as columns.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.charts.charts import found_page
from consumers.live.api.charts.questions import MAX_SERIES, SeriesQuestion, Token, refuse_unknown
from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import read_question
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.charts.found import SeriesPageFound
from consumers.store.read.charts.series import extremes
from schemas.api.points import number
from schemas.api.series import SeriesIndex
from schemas.columns import float_to_json
from schemas.names import series_name


class IndexQuestion(SeriesQuestion):
    """Which series are asked for."""

    limit: Annotated[int, Field(ge=1, le=MAX_SERIES)] = MAX_SERIES
    page_token: Token | None = None


async def series_index(request: Request) -> Response:
    """Return series with their number of points, last point and extremes. The next page follows with `page_token`."""
    question = await read_question(request, IndexQuestion, 400)
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        refuse_unknown(question.runs, await now.series_charts.runs(question.runs))
        page = await found_page(now, question.runs, question.matching(), question.limit, question.page_token)
    return await long_response(_index(page, write_positions(folded)), folded)


def _index(page: SeriesPageFound, as_of: str) -> SeriesIndex:
    newest = [one.rows[-1] for one in page.series]
    bounds = [extremes(one.rows) for one in page.series]
    return SeriesIndex.model_construct(
        as_of=as_of,
        run_id=[one.run_id for one in page.series],
        series=[series_name(row["name"], row["labels"], row["step_name"]) for row in newest],
        count=[sum(row["points"] for row in one.rows) for one in page.series],
        non_finite=[sum(row["non_finite"] for row in one.rows) for one in page.series],
        last_step=[row["last_step"] for row in newest],
        last_time=[row["last_time"] for row in newest],
        last=[float_to_json(row["last_value"]) for row in newest],
        min=[number(low) for low, _ in bounds],
        max=[number(high) for _, high in bounds],
        total=page.total,
        next_page_token=None if page.is_last else page.series[-1].token,
    )
