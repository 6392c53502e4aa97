"""
Endpoints `/v1/runs/{id}/console` and `/v1/runs/{id}/observations`: pages both ways, with search.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from fastapi import Query, Request, Response

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.responses import long_response
from consumers.live.api.runs import EXAMPLES, refuse_impossible, unknown_run
from consumers.live.stream.positions import write_positions
from consumers.store.content.pages import MAX_TEXT, Place, Wanted
from consumers.store.content.reader import Rows, SearchError
from consumers.store.offsets import CONSUMER
from consumers.store.read.documents import plain
from consumers.store.search.page_token import TokenError
from schemas.api.content import (
    ConsoleLine,
    ConsolePage,
    ObservationFound,
    ObservationsPage,
    ValueSeries,
    ValueSeriesPage,
)
from schemas.names import series_name

MAX_ROWS = 1_000
MAX_SERIES = 10_000
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
Text = Annotated[str, Query(max_length=1_000)]
Token = Annotated[str | None, Query(max_length=100)]
Time = Annotated[int | None, Query(ge=-(2**63), le=2**63 - 1, description="µs")]


class _Bounds(NamedTuple):
    after: Place | None
    before: Place | None


async def console(  # noqa: PLR0913, PLR0917 -- FastAPI reads parameters from the signature
    request: Request,
    run_id: str,
    stream: Literal["stdout", "stderr", "log"] | None = None,
    search: Text = "",
    regex: Text = "",
    from_time: Time = None,
    around: Time = None,
    after: Token = None,
    before: Token = None,
    limit: Limit = 500,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return lines of the console by time, and of one time by their place in the log; by default from the first.

    `after` and `before` are tokens of other pages, `before=end` gives the last lines. `from_time` begins at a time,
    `around` has it in the middle of the page. `search` is text in any case, `regex` a regular expression of PostgreSQL.
    """
    wanted = Wanted(run_id, stream=stream, search=search, regex=regex)
    times = {"from_time": from_time, "around": around}
    bounds = _bounds(after, before, {name: time for name, time in times.items() if time is not None})
    rows, folded = await _page(request, "console", wanted, bounds, limit, min_offsets, timeout_s)
    lines = [
        ConsoleLine(
            at=f"{row['log_offset']}:{row['position']}", stream=row["stream"], time=row["time"],
            line=row["line"][:MAX_TEXT], cut=len(row["line"]) > MAX_TEXT,
        )
        for row in rows.rows
    ]  # fmt: skip
    return await long_response(ConsolePage(lines=lines, **_ends(rows), as_of=write_positions(folded)), folded)


async def observations(  # noqa: PLR0913, PLR0917 -- FastAPI reads parameters from the signature
    request: Request,
    run_id: str,
    name: Annotated[str | None, Query(max_length=10_000)] = None,
    search: Text = "",
    after: Token = None,
    before: Token = None,
    limit: Limit = 100,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """Return values that are no numbers in the order of the log, of all series or one, in pages as `console` does."""
    wanted = Wanted(run_id, name=name, search=search)
    rows, folded = await _page(
        request, "observations", wanted, _bounds(after, before, {}), limit, min_offsets, timeout_s
    )
    found = [_observation(row) for row in rows.rows]
    as_of = write_positions(folded)
    page = ObservationsPage.model_construct(observations=found, **_ends(rows), exact=True, as_of=as_of)
    return await long_response(page, folded)


async def value_series(
    request: Request,
    run_id: str,
    limit: Annotated[int, Query(ge=1, le=MAX_SERIES)] = MAX_SERIES,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """Return the names of a run that have values which are no numbers, such as histograms, with their types."""
    refuse_impossible(run_id)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        if await now.content.folded(run_id) is None:
            raise unknown_run(run_id)
        try:
            rows = await now.content.value_series(run_id, limit + 1)
        except SearchError as error:
            raise Failure(400, str(error), "read the values in pages, without their names") from None
    found = [
        ValueSeries(
            series=series_name(row["name"], row["labels"], row["step_name"]), types=row["types"], count=row["count"],
            last_step=row["last_step"], last_time=row["last_time"],
        )
        for row in rows[:limit]
    ]  # fmt: skip
    return await long_response(
        ValueSeriesPage(series=found, exact=len(rows) <= limit, as_of=write_positions(folded)), folded
    )


async def _page(
    request: Request, kind: Literal["console", "observations"], wanted: Wanted, bounds: _Bounds, limit: int,
    min_offsets: str | None, timeout_s: float,
) -> tuple[Rows, dict[int, int]]:  # fmt: skip
    refuse_impossible(wanted.run_id)
    for parameter, text in wanted._asdict().items():
        if text is not None and "\x00" in text:
            raise Failure(400, f"{parameter}: it must not contain U+0000", f"correct {parameter}")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        if not await now.summaries([wanted.run_id]):
            raise unknown_run(wanted.run_id)
        try:
            rows = await now.content.page(kind, wanted, after=bounds.after, before=bounds.before, limit=limit)
        except SearchError as error:
            is_wrong = str(error).startswith("regex:")
            next_step = "correct the expression" if is_wrong else "search for other text, or from a time that is nearer"
            raise Failure(400, str(error), next_step) from None
    return rows, folded


def _bounds(after: str | None, before: str | None, times: dict[str, int]) -> _Bounds:
    if len(times) + (after is not None) + (before is not None) > 1:
        raise Failure(400, "only one of after, before, from_time and around can be given", "leave out the others")
    try:
        if "around" in times:
            place = Place.before_time(times["around"])
            return _Bounds(place, place)
        if "from_time" in times:
            return _Bounds(Place.before_time(times["from_time"]), None)
        if before == "end":
            return _Bounds(None, Place.end())
        places = [None if token is None else Place.from_token(token) for token in (after, before)]
        return _Bounds(*places)
    except TokenError as error:
        raise Failure(400, f"after or before: {error}", EXAMPLES["page_token"]) from None


def _ends(rows: Rows) -> dict[str, Any]:
    first, last = rows.place(0), rows.place(-1)
    return {
        "previous_token": None if first is None else first.token, "next_token": None if last is None else last.token,
        "has_previous": rows.has_previous, "has_next": rows.has_next,
    }  # fmt: skip


def _observation(row: Any) -> ObservationFound:
    return ObservationFound.model_construct(
        at=f"{row['log_offset']}:{row['position']}",
        series=series_name(row["name"], row["labels"], row["step_name"]),
        step=row["step"],
        time=row["time"],
        type=row["type"],
        value=row["head"][:MAX_TEXT] if row["value"] is None else plain(row["value"]),
        cut=row["value"] is None,
    )
