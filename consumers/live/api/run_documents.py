"""
Endpoint `POST /v1/runs/documents`: runs with their newest points, for clients that ask for many at once.

It reads only. The question is a body and not a query string, because it may name thousands of runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.fold_progress import MAX_WAIT_S
from consumers.live.api.responses import list_response
from consumers.live.api.runs import EXAMPLES, MAX_FILTER, MAX_PAGE_BYTES, MAX_RUNS, parsed
from consumers.live.stream.positions import MAX_TEXT, write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.run_documents import OrderedRuns, RunsWanted
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import All
from consumers.store.search.filter_tree import read_orders, read_tree
from consumers.store.search.page_token import MAX_TOKEN, TokenError
from schemas.api import RunDocumentsPage
from schemas.bounds import MAX_RUN_ID

MAX_BODY = 4 * 1024 * 1024  # bytes; MAX_RUNS ids of the usual length are 0.4 MB
BODY_TIMEOUT_S = 30.0
MAX_EXPERIMENTS = 10_000
NEWEST = [{"key": ["fact", "created"], "descending": True}]
Question = TypeVar("Question", bound=BaseModel)
RunId = Annotated[str, Field(max_length=MAX_RUN_ID, pattern=r"^[^\x00]*$")]


class DocumentsQuery(BaseModel):
    """Which runs are asked for: these ids, or those that the other fields select."""

    model_config = ConfigDict(extra="forbid")

    run_ids: Annotated[list[RunId], Field(max_length=MAX_RUNS)] | None = Field(
        default=None, description="these runs in this order, of every stage; unknown ones are left out"
    )
    where: str = Field(default="", max_length=MAX_FILTER, description="as in GET /v1/runs")
    filter: Any = Field(default={}, description="the same as JSON, see consumers/store/search/filter_tree.py")
    experiment_ids: Annotated[list[RunId], Field(max_length=MAX_EXPERIMENTS)] | None = Field(
        default=None, description='runs of these experiments; "": those of no registered experiment'
    )
    order_by: Any = Field(default=NEWEST, description='[{"key": [kind, name], "descending": true}, ...], see there')
    stage: Literal["active", "deleted", "all"] = Field(
        default="active", description="a run of a deleted experiment is deleted, too"
    )
    limit: Annotated[int, Field(ge=1, le=MAX_RUNS)] = 200
    page_token: Annotated[str, Field(max_length=MAX_TOKEN)] | None = None
    min_offsets: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    timeout_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 10.0


async def run_documents(request: Request) -> Response:
    """
    Return the documents of runs: their facts, parameters, tags, labels and the newest point of each series.

    A page ends early after MAX_PAGE_BYTES. For the next one repeat the request with `page_token` set to
    `next_page_token` of this page.
    """
    query = await read_question(request, DocumentsQuery)
    wanted = RunsWanted(
        All((parsed("where", parse_filter, query.where), parsed("filter", read_tree, query.filter))),
        None if query.stage == "all" else query.stage,
        None if query.experiment_ids is None else tuple(query.experiment_ids),
        parsed("order_by", read_orders, query.order_by),
    )
    connections = connections_of(request)
    await until_folded(connections, query.min_offsets, query.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        if query.run_ids is not None:
            following = _after(query.run_ids, query.page_token)
            items, count = await _documents(now, following[: query.limit])
            token = None if count == len(following) else following[count - 1]
        else:
            page = await _find(now, query, wanted)
            items, count = await _documents(now, [place.run_id for place in page.places])
            token = page.token_after(count)
    rest = RunDocumentsPage(runs=[], next_page_token=token, as_of=write_positions(folded))
    return list_response(rest, "runs", items, folded)


async def read_question(request: Request, model: type[Question], status: int = 422) -> Question:
    """
    Return the question in a body.

    Raises Failure for a body that is too large or too slow, and with `status` for what is no question.
    """
    try:
        return model.model_validate_json(await body_of(request, MAX_BODY, "ask for fewer runs at once"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        fields = "docs/query.md and docs/registry.md list the fields"
        step = f"correct {name}; {fields}" if name else f"send a JSON object: {fields}"
        raise Failure(status, f"parameter {name or 'body'}: {first['msg']}", step) from None


async def body_of(request: Request, max_bytes: int, step: str) -> bytes:
    """Return a body. Raises Failure for one that is larger, with what to do next, or that takes too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > max_bytes:
                    raise Failure(413, f"the body has more than {max_bytes:,} bytes", step)
    except TimeoutError:
        raise Failure(408, f"the body took longer than {BODY_TIMEOUT_S:g} s", "send it at once") from None
    return bytes(body)


def _after(run_ids: Sequence[str], page_token: str | None) -> list[str]:
    """Return the ids without repetitions, after the one that the page token names."""
    ids = list(dict.fromkeys(run_ids))
    if page_token is None:
        return ids
    if page_token not in ids:
        raise bad_parameter("page_token", "run_ids do not have the run that it names", EXAMPLES["page_token"])
    return ids[ids.index(page_token) + 1 :]


async def _find(now: Snapshot, query: DocumentsQuery, wanted: RunsWanted) -> OrderedRuns:
    try:
        return await now.documents.find(wanted, limit=query.limit, page_token=query.page_token)
    except TokenError as error:
        raise bad_parameter("page_token", str(error), EXAMPLES["page_token"]) from None


async def _documents(now: Snapshot, ids: list[str]) -> tuple[list[bytes], int]:
    """Return the documents of these runs as JSON up to MAX_PAGE_BYTES, and how many of the ids they stand for."""
    items, spent = list[bytes](), 0
    async with aclosing(now.documents.read(ids)) as documents:
        async for run_id, item in documents:
            items.append(item)
            spent += len(item)
            if spent >= MAX_PAGE_BYTES:
                return items, ids.index(run_id) + 1
            await asyncio.sleep(0)
    return items, len(ids)
