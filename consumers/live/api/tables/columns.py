"""
Endpoints `POST /v1/runs/columns` and `POST /v1/runs/values`: which columns runs have, and which values a column has.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import read_question
from consumers.live.api.tables.questions import EXAMPLES, RunsQuestion, understood
from consumers.live.api.tables.table import read_column
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.search.filter_terms import NUMBERS
from schemas.api.tables import ColumnsFound, ValuesFound

MAX_FOUND = 10_000
Prefix = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]


class ColumnsQuestion(RunsQuestion):
    """Which columns are asked for."""

    prefix: Prefix = Field(default="", description="of their names, in any case")
    limit: Annotated[int, Field(ge=1, le=MAX_FOUND)] = 1_000


class ValuesQuestion(ColumnsQuestion):
    """Which values are asked for."""

    key: Any = Field(description="[kind, name] of a parameter, tag, label, or fact that is text")
    prefix: Prefix = Field(default="", description="of the values as text, in any case")


async def columns(request: Request) -> Response:
    """Return the columns that runs have, with types and how many runs have them: facts, then the most frequent."""
    question = await read_question(request, ColumnsQuestion, 400)
    wanted = question.wanted()
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found = await now.tables.columns(wanted, question.prefix, limit=question.limit + 1)
    page = ColumnsFound.model_construct(
        columns=found[: question.limit], is_complete=len(found) <= question.limit, as_of=write_positions(folded)
    )
    return await long_response(page, folded)


async def values(request: Request) -> Response:
    """Return the values of a column with how many runs have each, the most frequent first."""
    question = await read_question(request, ValuesQuestion, 400)
    key = understood("key", read_column, question.key)
    if key.kind in NUMBERS:
        raise Failure(400, f"key: the values of {key.name:.100} are numbers of which each run has one", EXAMPLES["key"])
    wanted = question.wanted()
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found = await now.tables.values(wanted, key, question.prefix, limit=question.limit + 1)
    page = ValuesFound.model_construct(
        values=found[: question.limit], is_complete=len(found) <= question.limit, as_of=write_positions(folded)
    )
    return await long_response(page, folded)
