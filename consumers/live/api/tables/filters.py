"""
Endpoint `POST /v1/filters/check`: whether a filter can be read, and what may follow at a position while it is typed.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from consumers.live.api.responses import json_response
from consumers.live.api.run_documents import read_question
from consumers.store.search.completion import column_of, follow
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import keys_of
from consumers.store.search.filter_tokens import FilterError
from schemas.api.tables import FilterCheck, FilterFollow


class FilterQuestion(BaseModel):
    """A filter, and a position in it."""

    model_config = ConfigDict(extra="forbid")

    where: str
    position: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="characters from 0: also answer what may stand there"
    )


async def check_filter(request: Request) -> Response:
    """Return whether a filter can be read, otherwise where it is wrong. It is not run."""
    question = await read_question(request, FilterQuestion, 400)
    try:
        compared = dict.fromkeys(map(column_of, keys_of(parse_filter(question.where))))
        found = FilterCheck(ok=True, keys=list(compared))
    except FilterError as error:
        found = FilterCheck(
            ok=False, position=error.position, end=error.end, message=str(error), expected=list(error.expected)
        )
    if question.position is not None:
        found.follow = _follow(question.where, question.position)
    return json_response(found)


def _follow(where: str, position: int) -> FilterFollow | None:
    try:
        start, words, key, name = follow(where, position)
    except FilterError:
        return None  # what is wrong before the position is in the answer
    return FilterFollow(start=start, words=list(words), key=None if key is None else column_of(key), name=name)
