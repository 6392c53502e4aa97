"""
`POST /v1/events`: read, check and write a request; answer once Kafka has acknowledged every record.

All or nothing: a request with one unacceptable record is refused as a whole. docs/ingest.md describes it for clients.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gateway.client.encoding.wire import Record
from gateway.server.errors import Failure
from gateway.server.ingest import bodies
from gateway.server.ingest.bodies import Budget, Share
from gateway.server.limits import ExperimentLimits, NotTheirs
from gateway.server.log_writer import LogWriter, RecordRefused
from gateway.server.metrics import Metrics
from gateway.server.mlflow.errors import Refused
from schemas.errors import LogUnavailable
from schemas.runtime.access.identity import Identity, identity_of
from schemas.wire import decode


def install(app: FastAPI, writer: LogWriter, budget: Budget, metrics: Metrics, limits: ExperimentLimits) -> None:
    """Add the route. `budget` bounds the memory of all requests together."""

    @app.post("/v1/events")
    async def events(request: Request) -> JSONResponse:
        if not is_json(request):
            await bodies.drain(request)
            raise Failure(415, "Content-Type is not application/json", "send the header Content-Type: application/json")
        with Share(budget) as share:
            try:
                body = await bodies.read(request, share)
            except Failure as failure:
                if failure.status in (413, 503):
                    await bodies.drain(request)
                raise
            encoding = request.headers.get("content-encoding", "identity").strip().lower()
            records = await bodies.decode(body, encoding, share)
            who = identity_of(request.scope)
            if who.experiments is not None:
                await _require_theirs(limits, who, records)
            if records:
                await _write(writer, records)
                metrics.count_records(len(records), len(body))
        return JSONResponse({"taken": len(records)})


async def _require_theirs(limits: ExperimentLimits, who: Identity, records: list[Record]) -> None:
    """Raise Failure for records about what a token is not for: 403, or 503 while that cannot be decided."""
    try:
        await limits.require_events(who, [decode(one.key, one.value, one.headers) for one in records])
    except NotTheirs as error:
        raise Failure(403, str(error), "use a token of this experiment, or of all") from None
    except Refused as error:
        raise Failure(503, error.message, "send the same request again in a moment") from None


def is_json(request: Request) -> bool:
    """Tell whether a request names its body JSON. A page of another origin cannot, without asking this server first."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


async def _write(writer: LogWriter, records: list[Record]) -> None:
    try:
        await writer.write(records)
    except LogUnavailable as error:
        raise Failure(503, str(error), "send the same request again in a moment") from error
    except RecordRefused as error:
        raise Failure(413, f"Kafka: {error}", "leave it out, and send the others again", record=error.number) from error
