"""
JSON answers of the API.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel

from consumers.live.stream.positions import write_positions


def json_response(model: BaseModel, folded: Mapping[int, int] | None = None) -> Response:
    """Return a model as JSON that no cache keeps; with `folded`, X-Folded gives these offsets of the log."""
    headers = {"Cache-Control": "no-store"}
    if folded:
        headers["X-Folded"] = write_positions(folded)  # what lies below is in this answer
    return Response(model.model_dump_json(), media_type="application/json", headers=headers)
