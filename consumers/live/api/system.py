"""
Endpoints about the system: health, the status of everything behind the log, and the schema of run logs.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from consumers.live.api.connections import connections_of
from consumers.live.api.errors import RETRY_AFTER_S
from consumers.live.api.responses import json_response
from schemas.runlog import RunLog
from schemas.runtime.access.identity import identity_of


async def healthz(request: Request) -> JSONResponse:
    """Report whether PostgreSQL and Kafka can be reached; 503 names what is missing."""
    missing = await connections_of(request).health()
    headers = {"Cache-Control": "no-store"}
    if not missing:
        return JSONResponse({"status": "ok"}, headers=headers)
    headers["Retry-After"] = str(RETRY_AFTER_S)
    body = {
        "status": "waiting",
        "missing": missing,
        "error": "; ".join(missing.values()),
        "next": "wait, or see which part is down with `gateway status`",
    }
    return JSONResponse(body, 503, headers=headers)


async def status(request: Request) -> Response:
    """Report how far each consumer is, how many records are parked, the state of each tracker, and what is wrong."""
    found = await connections_of(request).status()
    if problem := request.app.state.access.credentials.tokens.problem:
        found = found.model_copy(update={"problems": [*found.problems, problem]})
    if identity_of(request.scope).experiments is not None:  # it names a run, of any experiment
        found = found.model_copy(update={"newest_dead_letter": None})
    return json_response(found)


async def run_log_schema() -> dict[str, Any]:
    """Return the JSON Schema of a run log."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | RunLog.model_json_schema()
