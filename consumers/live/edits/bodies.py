"""
Bodies of requests that write: JSON of a bounded size, checked as readers of the log check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.run_documents import body_of
from schemas.bounds import MAX_VALUE
from schemas.errors import BadRecord
from schemas.wire import EncodedRecord, decode

MAX_BODY = 512 * 1024  # bytes
Question = TypeVar("Question", bound=BaseModel)


async def read_body(request: Request, model: type[Question]) -> Question:
    """Return what a body asks for. Raises Failure for one that is too large, too slow, no JSON, or another question."""
    body = await body_of(request, MAX_BODY, "send less in one request")
    try:
        return model.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise bad_parameter("body", f"it is no JSON: {error}", "send a JSON object") from None
    except (ValidationError, RecursionError) as error:
        first = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        name = ".".join(map(str, first["loc"])) if first and first["loc"] else "body"
        step = "send a JSON object with the fields that docs/query.md and docs/registry.md list"
        raise bad_parameter(f"{name:.300}", first["msg"] if first else "it is nested too deep", step) from None


def check_records(records: Sequence[EncodedRecord]) -> None:
    """Raise Failure for records that a reader of the log would refuse, before they are written."""
    for record in records:
        if len(record.value) > MAX_VALUE:
            raise Failure(413, f"an event of it would have more than {MAX_VALUE:,} bytes", "send less in one request")
        try:
            decode(record.key, record.value, record.headers)
        except BadRecord as error:
            raise bad_parameter("body", f"{error}"[:300], "correct it") from None
