"""
Endpoints about runs: the list, a run log, and the series of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Query, Request, Response

from consumers.live.api.connections import services
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import json_response
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.reader import narrow
from consumers.store.search.filter import FilterError, parse_filter, parse_order
from consumers.store.search.page_token import MAX_TOKEN, TokenError
from schemas.api import RunsPage
from schemas.runlog import RunState
from schemas.wire import MAX_RUN_ID

MAX_RUNS = 10_000  # in one answer
MAX_BUCKETS = 10_000  # of one chart; nobody has more pixels
MAX_LOG_POINTS = 1_000_000  # of one series in a run log
MAX_FILTER = 20_000  # characters; what is too long for the language is said by it
MAX_NAMES = 1_000  # series asked for by name in one request

T = TypeVar("T")
_EXAMPLES = {
    "where": "write for example metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'",
    "order_by": "write for example metrics.loss, or created desc",
    "page_token": "leave it out to begin again, and give each page's next_page_token with the same parameters",
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
    List runs: newest first, or those that `where` finds (consumers/store/search/filter.py), in the order of `order_by`.

    The next page is asked for with the same parameters and `page_token`, the `next_page_token` of this one. Runs that
    are added meanwhile neither repeat others nor push them out; one whose sort key changes may come twice or not.
    """
    if group is not None and "\x00" in group:
        raise bad_parameter("group", "it must not hold U+0000", "correct group")
    wanted = narrow(_understood("where", parse_filter, where), group, status)
    order = None if order_by is None else _understood("order_by", parse_order, order_by)
    found = services(request)
    await until_folded(found, min_offsets, timeout_s)
    async with found.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, found.topic)
        try:
            page = await now.runs(filter=wanted, order=order, limit=limit, page_token=page_token)
        except TokenError as error:
            raise bad_parameter("page_token", str(error), _EXAMPLES["page_token"]) from None
    found_runs = RunsPage(runs=page.runs, next_page_token=page.next_page_token, as_of=write_positions(folded))
    return json_response(found_runs, folded)


async def run_log(
    request: Request,
    run_id: str,
    max_points: Annotated[int, Query(ge=1, le=MAX_LOG_POINTS)] = 10_000,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Give the run log, the document of /v1/schemas/run-log, with at most the last `max_points` of each series.

    The header X-Folded says as of which position of the log.
    """
    _check(run_id)
    found = services(request)
    await until_folded(found, min_offsets, timeout_s)
    async with found.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, found.topic)
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
    """Give series by written name (all without `name`): whole, or first, min, max and last of each bucket."""
    _check(run_id)
    if name and any("\x00" in one for one in name):
        raise bad_parameter("name", "it must not hold U+0000", "use the names that this address gives without `name`")
    found = services(request)
    await until_folded(found, min_offsets, timeout_s)
    async with found.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, found.topic)
        page = await now.series(run_id, names=name, buckets=buckets)
    if page is None:
        raise unknown_run(run_id)
    # A run's own position stays where its last event was: a stream that started there would read all that other runs
    # wrote since.
    page.as_of.offset = max(page.as_of.offset, folded.get(page.as_of.partition, 0))
    return json_response(page, folded)


def unknown_run(run_id: str) -> Failure:
    """Return the failure of a request for a run that nobody wrote."""
    return Failure(
        404,
        f"no run {run_id!r:.300}",
        "list the runs with GET /v1/runs; a new run shows as soon as its first event is folded",
    )


def _understood(parameter: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except FilterError as error:
        raise bad_parameter(parameter, str(error), _EXAMPLES[parameter]) from None


def _check(run_id: str) -> None:
    if len(run_id) > MAX_RUN_ID or "\x00" in run_id:  # no event can carry it, so no run has it
        raise unknown_run(run_id)
