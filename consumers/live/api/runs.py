"""
Endpoints about runs: the list, a run log, and the series of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Query, Request, Response

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import json_response
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.reader import narrow
from consumers.store.search.filter import FilterError, parse_filter, parse_order
from consumers.store.search.page_token import MAX_TOKEN, TokenError
from schemas.api import RunsPage
from schemas.bounds import MAX_RUN_ID
from schemas.runlog import RunState

MAX_RUNS = 10_000  # in one answer
MAX_BUCKETS = 10_000  # of one chart; no screen has more pixels
MAX_LOG_POINTS = 1_000_000  # of one series in a run log
MAX_FILTER = 20_000  # characters; the parser reports a filter that is too long for its language
MAX_NAMES = 1_000  # series requested by name in one request

T = TypeVar("T")
_EXAMPLES = {
    "where": "write for example metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'",
    "order_by": "write for example metrics.loss, or created desc",
    "page_token": "leave it out to start again, and pass each page's next_page_token with the same parameters",
}


async def runs(  # noqa: PLR0913, PLR0917 -- FastAPI reads parameters from the signature
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_RUNS)] = 200,
    page_token: Annotated[str | None, Query(max_length=MAX_TOKEN)] = None,
    where: Annotated[str, Query(max_length=MAX_FILTER)] = "",
    order_by: Annotated[str | None, Query(max_length=MAX_FILTER)] = None,
    group: Annotated[str | None, Query(max_length=10_000)] = None,
    status: RunState | None = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    List runs: newest first, or those that match `where` (consumers/store/search/filter.py), in the order of `order_by`.

    For the next page repeat the request with `page_token` set to `next_page_token` of this page. Runs that are added
    in between neither repeat nor displace others; a run whose sort key changes may appear twice or not at all.
    """
    if group is not None and "\x00" in group:
        raise bad_parameter("group", "it must not contain U+0000", "correct group")
    wanted = narrow(_parsed("where", parse_filter, where), group, status)
    order = None if order_by is None else _parsed("order_by", parse_order, order_by)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            page = await now.runs(filter=wanted, order=order, limit=limit, page_token=page_token)
        except TokenError as error:
            raise bad_parameter("page_token", str(error), _EXAMPLES["page_token"]) from None
    body = RunsPage(runs=page.runs, next_page_token=page.next_page_token, as_of=write_positions(folded))
    return json_response(body, folded)


async def run_log(
    request: Request,
    run_id: str,
    max_points: Annotated[int, Query(ge=1, le=MAX_LOG_POINTS)] = 10_000,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return the run log, the document of /v1/schemas/run-log, with at most the last `max_points` points of each series.

    The header X-Folded gives the offsets of the log that the answer is as of.
    """
    _refuse_impossible(run_id)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        log = await now.run_log(run_id, max_points=max_points)
    if log is None:
        raise unknown_run(run_id)
    return json_response(log, folded)


async def series(
    request: Request,
    run_id: str,
    name: Annotated[list[str] | None, Query(max_length=MAX_NAMES)] = None,
    buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 1_000,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """Return series by written name (all without `name`): every point, or first, min, max and last of each bucket."""
    _refuse_impossible(run_id)
    if name and any("\x00" in one for one in name):
        raise bad_parameter("name", "it must not contain U+0000", "use the names in the answer without `name`")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        page = await now.series(run_id, names=name, buckets=buckets)
    if page is None:
        raise unknown_run(run_id)
    # The position of a run stays at its last event: a stream that started there would read everything that other runs
    # have written since.
    page.as_of.offset = max(page.as_of.offset, folded.get(page.as_of.partition, 0))
    return json_response(page, folded)


def unknown_run(run_id: str) -> Failure:
    """Return the failure of a request for a run that does not exist."""
    return Failure(
        404,
        f"no run {run_id!r:.300}",
        "list the runs with GET /v1/runs; a new run appears once its first event is folded",
    )


def _parsed(parameter: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except FilterError as error:
        raise bad_parameter(parameter, str(error), _EXAMPLES[parameter]) from None


def _refuse_impossible(run_id: str) -> None:
    if len(run_id) > MAX_RUN_ID or "\x00" in run_id:  # no event can carry it, so no run has it
        raise unknown_run(run_id)
