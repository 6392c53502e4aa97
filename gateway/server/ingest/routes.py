"""
`POST /v1/events`: authenticate, read, check and write a request; answer once Kafka has acknowledged every record.

All or nothing: a request with one unacceptable record is refused as a whole. docs/ingest.md describes it for clients.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gateway.client.encoding.wire import Record
from gateway.server.errors import Failure
from gateway.server.ingest import bodies
from gateway.server.ingest.bodies import Budget, Share
from gateway.server.log_writer import LogWriter, RecordRefused
from gateway.server.metrics import Metrics
from schemas.errors import LogUnavailable
from schemas.runtime.access import holds_token


def install(app: FastAPI, writer: LogWriter, budget: Budget, metrics: Metrics, *, token: str) -> None:
    """Add the route. `budget` bounds the memory of all requests together; without a `token` every sender is let in."""

    @app.post("/v1/events")
    async def events(request: Request) -> JSONResponse:
        if not is_allowed(request, token):
            await bodies.drain(request)
            raise Failure(401, "the token is missing or wrong", "set GATEWAY_TOKEN to the server's")
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
            if records:
                await _write(writer, records)
                metrics.count_records(len(records), len(body))
        return JSONResponse({"taken": len(records)})


def is_allowed(request: Request, token: str) -> bool:
    """Tell whether a request carries the token; without a token every request is allowed."""
    return not token or holds_token(request.headers.get("authorization", ""), token)


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
