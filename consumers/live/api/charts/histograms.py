"""
Endpoint `POST /v1/series/histograms`: histograms of one name over steps.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.charts.questions import Name, refuse_unknown
from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import RunId, read_question
from consumers.live.api.tables.questions import Consistent
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from schemas.api.series import HistogramsOfSeries

MAX_HISTOGRAMS = 1_000  # of up to 512 bins each


class HistogramsQuestion(Consistent):
    """Which histograms are asked for."""

    run_id: RunId
    name: Name = Field(description="written name")
    steps_limit: Annotated[int, Field(ge=1, le=MAX_HISTOGRAMS)] = 200


async def series_histograms(request: Request) -> Response:
    """Return the histograms of a name by step: all, or so many of them, evenly chosen, with the first and the last."""
    question = await read_question(request, HistogramsQuestion, 400)
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        refuse_unknown([question.run_id], await now.series_charts.runs([question.run_id]))
        rows, total = await now.series_charts.histograms(question.run_id, question.name, question.steps_limit)
    answer = HistogramsOfSeries.model_construct(
        as_of=write_positions(folded),
        steps=[row["step"] for row in rows],
        times=[row["time"] for row in rows],
        edges=[row["histogram"]["edges"] for row in rows],
        counts=[row["histogram"]["counts"] for row in rows],
        exact=len(rows) == total,
        total=total,
    )
    return await long_response(answer, folded)
