"""
JSON answers of the API.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel

from consumers.live.stream.positions import write_positions


def json_response(model: BaseModel, folded: Mapping[int, int] | None = None) -> Response:
    """Return a model as JSON that no cache stores; the header X-Folded gives the offsets `folded`, if any."""
    headers = {"Cache-Control": "no-store"}
    if folded:
        headers["X-Folded"] = write_positions(folded)  # the answer includes everything below
    return Response(model.model_dump_json(), media_type="application/json", headers=headers)
