"""
Endpoint `POST /v1/runs/table`: pages of runs with chosen columns, in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import NEWEST, read_question
from consumers.live.api.runs import EXAMPLES as TOKEN_EXAMPLES
from consumers.live.api.runs import MAX_PAGE_BYTES
from consumers.live.api.tables.questions import RunsQuestion, understood
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.filter_terms import Key
from consumers.store.search.filter_tokens import FilterError
from consumers.store.search.filter_tree import read_key, read_orders
from consumers.store.search.page_token import MAX_TOKEN, TokenError
from consumers.store.tables.cells import ROWS_AT_ONCE, Cells
from schemas.api.tables import RunsTable

MAX_ROWS = 1_000
MAX_COLUMNS = 200
MAX_OFFSET = 1_000_000
_KINDS = ("fact", "param", "metric", "tag", "label")


class TableQuestion(RunsQuestion):
    """Which runs and columns a page has, and in which order."""

    order: Any = Field(default=NEWEST, description='[{"key": [kind, name], "descending": true}, ...]; newest first')
    columns: Any = Field(default=[], description="[[kind, name], ...], kind one of fact, param, metric, tag, label")
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 200
    page_token: Annotated[str, Field(max_length=MAX_TOKEN)] | None = None
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = Field(
        default=0, description="how many runs come before the page, for scroll bars; it shifts when runs are added"
    )
    total: bool = Field(default=True, description="count the runs on all pages")


async def runs_table(request: Request) -> Response:
    """
    Return a page of runs, columnar: of each column that is asked for one value a run.

    Runs without a value of the order come last. A page ends early after 8 MB; the next one follows with `page_token`,
    or at an `offset`.
    """
    question = await read_question(request, TableQuestion, 400)
    columns = understood("columns", read_columns, question.columns)
    wanted = question.wanted(understood("order", read_orders, question.order))
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            page = await now.documents.find(
                wanted, limit=question.limit, page_token=question.page_token, offset=question.offset
            )
        except TokenError as error:
            raise Failure(400, f"page_token: {error}", TOKEN_EXAMPLES["page_token"]) from None
        run_ids = [place.run_id for place in page.places]
        cells = await _cells(now, run_ids, columns)
        total = await now.tables.count(wanted) if question.total else None
    count = len(cells.columns[0]) if columns else len(run_ids)
    table = RunsTable.model_construct(
        run_ids=run_ids[:count], columns=cells.columns, cut=cells.cut, total=total,
        next_page_token=page.token_after(count) if count else None, as_of=write_positions(folded),
    )  # fmt: skip
    return await long_response(table, folded)


async def _cells(now: Snapshot, run_ids: Sequence[str], columns: Sequence[Key]) -> Cells:
    """Return the columns of these runs, or of the first of them that have 8 MB together."""
    found, spent = Cells([[] for _ in columns], []), 0
    for first in range(0, len(run_ids) if columns else 0, ROWS_AT_ONCE):
        part = await now.tables.cells(run_ids[first : first + ROWS_AT_ONCE], columns)
        found.cut.extend((column, row + first) for column, row in part.cut)
        for column, values in zip(found.columns, part.columns, strict=True):
            column.extend(values)
        spent += len(await asyncio.to_thread(orjson.dumps, part.columns))
        if spent >= MAX_PAGE_BYTES:
            break
    return found


def read_columns(columns: Any) -> tuple[Key, ...]:
    """Return the keys of columns. Raises FilterError."""
    if not isinstance(columns, list) or len(columns) > MAX_COLUMNS:
        raise FilterError(f"it is not a list of at most {MAX_COLUMNS} keys")
    return tuple(read_column(one) for one in columns)


def read_column(column: Any) -> Key:
    """Return the key of a column. Raises FilterError."""
    key = read_key(column)
    if column[0] not in _KINDS or key.kind == "anywhere" or (key.kind == "label" and "*" in key.name):
        raise FilterError(f"{column!r:.100} is no column: its kind is one of {', '.join(_KINDS)}")
    return key
