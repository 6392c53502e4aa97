"""
Endpoints about runs: the list, a run log, and the series of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from fastapi import Query, Request, Response

from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import all_bytes, json_response, list_response, long_response, rendered
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.charts.chart import RangeTooScattered
from consumers.store.read.ordered_points import IN_LOOP_POINTS, Steps
from consumers.store.read.reader import narrow
from consumers.store.read.series_pages import SeriesChoice, token_after
from consumers.store.read.snapshot import LAST_VALUES, LogBounds, SeriesOfRun
from consumers.store.search.filter import parse_filter, parse_order
from consumers.store.search.filter_tokens import FilterError
from consumers.store.search.page_token import MAX_TOKEN, TokenError
from schemas.api import PointsPage, Position, RunsPage, SeriesPage
from schemas.bounds import MAX_RUN_ID
from schemas.runlog import RunState

MAX_RUNS = 10_000  # in one answer
MAX_LAST = 1_000  # series of a run with their last value in a list
MAX_BUCKETS = 10_000  # of one chart; no screen has more pixels
MAX_LOG_POINTS = 1_000_000  # of all series in a run log
MAX_LOG_SERIES = 10_000
MAX_LOG_ROWS = 100_000  # of parameters, tags, values that are no numbers, ...
MAX_FILTER = 20_000  # characters; the parser refuses longer ones than its language allows, with its own words
MAX_CONTINUED = 5_000  # series whose steps go on: the client reads an answer of up to 1 MB
MAX_NAMES = 1_000  # series in one answer
MAX_POINTS = 200_000  # in one answer with series; about 8 MB
HISTORY_POINTS = 10_000  # in one page of a history
MAX_PAGE_BYTES = 8 * 1024 * 1024  # of runs in one answer
MAX_MATCH = 1_000  # characters
MAX_SERIES_TOKEN = 20_000  # characters; of control characters in names six times as many become base64

MAX_RUNS_OF_POINTS = 100
MAX_ALIASES = 10  # names of a series
MAX_SAMPLE = 10_000  # points of one run

RunIds = Annotated[list[str], Query(min_length=1, max_length=MAX_RUNS_OF_POINTS)]
SeriesNames = Annotated[list[str], Query(min_length=1, max_length=MAX_ALIASES)]
Step = Annotated[int, Query(ge=-(2**63), le=2**63 - 1)]

P = TypeVar("P")
T = TypeVar("T")
EXAMPLES = {
    "where": "write for example metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'",
    "order_by": "write for example metrics.loss, or created desc",
    "filter": 'write for example {"key": ["metric", "loss"], "op": "<", "values": [0.3]}',
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
    stage: Literal["active", "deleted", "all"] = "active",
    last: Annotated[int, Query(ge=0, le=MAX_LAST)] = LAST_VALUES,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    List runs: newest first, or those that match `where` (consumers/store/search/filter.py), in the order of `order_by`.

    For the next page repeat the request with `page_token` set to `next_page_token` of this page. Runs that are added
    in between neither repeat nor displace others; a run whose sort key changes may appear twice or not at all. A page
    ends early after MAX_PAGE_BYTES: a run may have any number of parameters. Of each run it has the last values of
    `last` series. Runs in the trash are listed with `stage` deleted or all.
    """
    if group is not None and "\x00" in group:
        raise bad_parameter("group", "it must not contain U+0000", "correct group")
    wanted = narrow(parsed("where", parse_filter, where), group, status, None if stage == "all" else stage)
    order = None if order_by is None else parsed("order_by", parse_order, order_by)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            page = await now.find_runs(filter=wanted, order=order, limit=limit, page_token=page_token)
        except TokenError as error:
            raise bad_parameter("page_token", str(error), EXAMPLES["page_token"]) from None
        items = await rendered(now.run_summaries(page, last), all_bytes, MAX_PAGE_BYTES)
    rest = RunsPage(runs=[], next_page_token=page.token_after(len(items)), as_of=write_positions(folded))
    return list_response(rest, "runs", items, folded)


async def run_log(
    request: Request,
    run_id: str,
    max_points: Annotated[int, Query(ge=1, le=MAX_LOG_POINTS)] = 10_000,
    max_series: Annotated[int, Query(ge=1, le=MAX_LOG_SERIES)] = MAX_LOG_SERIES,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return the run log, the document of /v1/schemas/run-log, with at most the last `max_points` points of each series.

    All series together have at most MAX_LOG_POINTS points, each other part has at most MAX_LOG_ROWS entries: the fields
    `shortened` and `truncated` say what is cut. `.../series` gives the series of a run of any size.

    The header X-Folded gives the offsets of the log that the answer is as of.
    """
    refuse_impossible(run_id)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        bounds = LogBounds(max_series, MAX_LOG_POINTS, MAX_LOG_ROWS)
        log = await now.run_log(run_id, max_points=max_points, bounds=bounds)
    if log is None:
        raise unknown_run(run_id)
    return await long_response(log, folded)


async def series(  # noqa: PLR0913, PLR0917 -- FastAPI reads parameters from the signature
    request: Request,
    run_id: str,
    name: Annotated[list[str] | None, Query(max_length=MAX_NAMES)] = None,
    match: Annotated[str, Query(max_length=MAX_MATCH)] = "",
    buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 1_000,
    limit: Annotated[int, Query(ge=1, le=MAX_NAMES)] = MAX_NAMES,
    page_token: Annotated[str | None, Query(max_length=MAX_SERIES_TOKEN)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return series by written name, or those that contain each word of `match`.

    Each has every point, or the first, lowest, highest and last of each bucket. A page has at most `limit` series, and
    ends after MAX_POINTS points. For the next page repeat the request with `page_token` set to `next_page_token` of
    this page.
    """
    refuse_impossible(run_id)
    for parameter, texts in (("name", name or ()), ("match", (match,))):
        if any("\x00" in one for one in texts):
            raise bad_parameter(parameter, "it must not contain U+0000", "use the names in the answer without `name`")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            page = await now.series_of(run_id, SeriesChoice(name, match.split(), page_token), limit=limit)
        except TokenError as error:
            raise bad_parameter("page_token", str(error), EXAMPLES["page_token"]) from None
        if page is None:
            raise unknown_run(run_id)
        try:
            items = await rendered(now.charts(page, buckets), lambda one, _: len(one.points), MAX_POINTS)
        except RangeTooScattered as error:
            raise bad_parameter("name", str(error), "read the points with GET /v1/export/points") from None
    return list_response(_without_series(run_id, page, len(items), folded), "series", items, folded)


async def history(
    request: Request,
    run_id: str,
    name: Annotated[str, Query(min_length=1, max_length=MAX_MATCH * 10)],
    limit: Annotated[int, Query(ge=1, le=MAX_POINTS)] = HISTORY_POINTS,
    page_token: Annotated[str | None, Query(max_length=MAX_TOKEN)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return every point of one series, by its written name, in the order in which they were recorded.

    For the next page repeat the request with `page_token` set to `next_page_token` of this page. A series that the run
    lacks has no points.
    """
    refuse_impossible(run_id)
    if "\x00" in name:
        raise bad_parameter("name", "it must not contain U+0000", "use a name that .../series answers")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            page = await now.history(run_id, name, limit=limit, page_token=page_token)
        except TokenError as error:
            raise bad_parameter("page_token", str(error), EXAMPLES["page_token"]) from None
    if page is None:
        raise unknown_run(run_id)
    return await long_response(page, folded)


async def points(
    request: Request,
    run_id: RunIds,
    name: SeriesNames,
    limit: Annotated[int, Query(ge=0, le=MAX_POINTS)] = HISTORY_POINTS,
    page_token: Annotated[str | None, Query(max_length=MAX_TOKEN)] = None,
    since_ms: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return the points of a series of several runs as columns, from the time `since_ms` on: by run, time, step and value.

    Of several `name`s, written names, a run should have one.
    Times are in ms, and points that are equal then are one. Unknown runs, and runs without the series, have no points.
    For the next page repeat the request with `page_token` set to `next_page_token` of this page.
    """
    connections = await _asked_for_points(request, name, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            page = await now.points_of.page(
                _possible(run_id), name, limit=limit, page_token=page_token, since_ms=since_ms
            )
        except TokenError as error:
            raise bad_parameter("page_token", str(error), EXAMPLES["page_token"]) from None
    return await _points_response(page, folded)


async def points_sample(
    request: Request,
    run_id: RunIds,
    name: SeriesNames,
    count: Annotated[int, Query(ge=1, le=MAX_SAMPLE)] = 1_000,
    first_step: Step = -(2**63),
    last_step: Step = 2**63 - 1,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return up to `count` points of a series of each run, evenly out of a range of steps: by run, step, time and value.

    They include the first and the last; see consumers/store/read/points.py. Otherwise as `points`.
    """
    connections = await _asked_for_points(request, name, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        steps = Steps(first_step, last_step)
        page = await now.points_of.sample(_possible(run_id), name, count=count, steps=steps)
    return await _points_response(page, folded)


async def _points_response(page: PointsPage, folded: Mapping[int, int]) -> Response:
    is_short = sum(len(run.steps) for run in page.runs) <= IN_LOOP_POINTS
    return json_response(page, folded) if is_short else await long_response(page, folded)


async def _asked_for_points(
    request: Request, names: Sequence[str], min_offsets: str | None, timeout_s: float
) -> Connections:
    if any("\x00" in one for one in names):
        raise bad_parameter("name", "it must not contain U+0000", "use a name that .../series answers")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    return connections


def _possible(run_ids: Sequence[str]) -> list[str]:
    return [one for one in run_ids if len(one) <= MAX_RUN_ID and "\x00" not in one]


def _without_series(run_id: str, page: SeriesOfRun, shown: int, folded: Mapping[int, int]) -> SeriesPage:
    found, (partition, offset) = page.found, (page.as_of.partition, page.as_of.offset)
    is_last = found.is_last and shown == len(found.series)
    return SeriesPage(
        run_id=run_id,
        # The position of a run stays at its last event: a stream that started there would read everything that other
        # runs have written since.
        as_of=Position(partition=partition, offset=max(offset, folded.get(partition, 0))),
        series=[],
        total=found.total,
        next_page_token=None if is_last else token_after(found.series[shown - 1]),
        points_dropped=page.points_dropped,
    )


async def progress(request: Request, run_id: str) -> Response:
    """Return the newest attempt of a run and the largest step of each series, so that a process can continue it."""
    refuse_impossible(run_id)
    async with connections_of(request).store().snapshot() as now:
        found = await now.progress(run_id, max_series=MAX_CONTINUED)
    if found is None:
        raise unknown_run(run_id)
    return await long_response(found, {})


def unknown_run(run_id: str) -> Failure:
    """Return the failure of a request for a run that does not exist."""
    return Failure(
        404,
        f"no run {run_id!r:.300}",
        "list the runs with `gateway runs list` or GET /v1/runs; a new one appears once it is folded",
    )


def parsed(parameter: str, parse: Callable[[P], T], given: P) -> T:
    """Return what a parameter means. Raises Failure 422, with the place, for what `parse` refuses."""
    try:
        return parse(given)
    except FilterError as error:
        raise bad_parameter(parameter, str(error), EXAMPLES[parameter], details=place_of(error)) from None


def place_of(error: FilterError) -> dict[str, object]:
    """Return where in a text an error is, from 0, and what may stand there; nothing for what is no text."""
    if error.position is None:
        return {}
    return {"position": error.position, "end": error.end, "expected": list(error.expected)}


def refuse_impossible(run_id: str) -> None:
    """Raise the failure of a request for a run id that no event can carry."""
    if len(run_id) > MAX_RUN_ID or "\x00" in run_id:
        raise unknown_run(run_id)
