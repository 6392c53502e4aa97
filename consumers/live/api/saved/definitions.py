"""
Endpoints that read definitions of metrics, of one run or of many.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import bad_parameter
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import read_question
from consumers.live.api.runs import refuse_impossible, unknown_run
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from schemas.api.metric_definitions import CommonDefinitionsPage, DefinitionsQuestion, MetricDefinitionsPage
from schemas.bounds import MAX_NAME

MAX_DEFINITIONS = 10_000  # in one answer


async def metric_definitions(
    request: Request,
    run_id: str,
    limit: Annotated[int, Query(ge=1, le=MAX_DEFINITIONS)] = MAX_DEFINITIONS,
    page_token: Annotated[str | None, Query(max_length=MAX_NAME)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return what the code of a run says of its metrics, by name.

    Which definition counts for a series is in schemas/metric_definitions.py.
    """
    refuse_impossible(run_id)
    if page_token is not None and "\x00" in page_token:
        raise bad_parameter("page_token", "it must not contain U+0000", "leave it out to start again")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found = await now.definitions.of_run(run_id, limit=limit, page_token=page_token)
    if found is None:
        raise unknown_run(run_id)
    page = MetricDefinitionsPage(run_id=run_id, **found._asdict(), as_of=write_positions(folded))
    return await long_response(page, folded)


async def common_definitions(request: Request) -> Response:
    """
    Return what the code of several runs says of metrics: equal definitions once, with the runs that have them.

    Unknown runs are left out. For the next page repeat the request with `page_token` set to `next_page_token`.
    """
    question = await read_question(request, DefinitionsQuestion)
    if (question.runs is None) == (question.experiment is None):
        raise bad_parameter("body", "it names neither or both of runs and experiment", "name one of them")
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found = await now.definitions.common(question.runs, question.experiment, question.page_token)
    page = CommonDefinitionsPage(**found._asdict(), as_of=write_positions(folded))
    return await long_response(page, folded)
