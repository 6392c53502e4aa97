"""
The addresses of streams. `POST /v1/stream` takes several topics, and each topic alone is a GET.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from consumers.live.api.run_documents import read_question
from consumers.live.api.streams.opening import open_stream
from consumers.live.api.streams.questions import StreamQuestion, parsed_json, question_of
from consumers.live.api.streams.sending import EventStream

Text = Annotated[str | None, Query()]
Texts = Annotated[list[str] | None, Query()]
LastEventId = Annotated[str | None, Header()]
_ANSWER: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": {200: {"description": "server-sent events", "content": {"text/event-stream": {}}}},
}


def add_routes(router: APIRouter) -> None:
    """Add them."""
    asked = {"requestBody": {"content": {"application/json": {"schema": StreamQuestion.model_json_schema()}}}}
    router.add_api_route("/v1/stream", topics, methods=["POST"], openapi_extra=asked, **_ANSWER)
    for name, endpoint in (("runs", runs), ("series", series), ("alerts", alerts), ("saved", saved)):
        router.add_api_route(f"/v1/stream/{name}", endpoint, **_ANSWER)


async def topics(request: Request, last_event_id: LastEventId = None) -> EventStream:
    """Follow several topics at once, see docs/query.md."""
    return await open_stream(request, await read_question(request, StreamQuestion, 400), last_event_id)


async def runs(
    request: Request,
    where: Text = None,
    filter: Text = None,
    experiment_id: Texts = None,
    stage: Text = None,
    since: Text = None,
    last_event_id: LastEventId = None,
) -> EventStream:
    """Follow which runs of a filter have news; `filter` is JSON."""
    given = {"where": where, "filter": parsed_json(filter), "experiment_ids": experiment_id, "stage": stage}
    return await _open(request, {"runs": given}, since, last_event_id)


async def series(
    request: Request,
    run_id: Texts = None,
    name: Texts = None,
    match_regex: Text = None,
    match_prefix: Text = None,
    match_words: Text = None,
    since: Text = None,
    last_event_id: LastEventId = None,
) -> EventStream:
    """Follow new points of series of some runs."""
    match = _given({"regex": match_regex, "prefix": match_prefix, "words": match_words})
    given = {"runs": run_id, "names": name, "match": match or None}
    return await _open(request, {"series": given}, since, last_event_id)


async def alerts(
    request: Request,
    run_id: Text = None,
    rule_id: Text = None,
    since: Text = None,
    last_event_id: LastEventId = None,
) -> EventStream:
    """Follow alerts as they fire and are resolved."""
    return await _open(request, {"alerts": {"run_id": run_id, "rule_id": rule_id}}, since, last_event_id)


async def saved(
    request: Request, collection: Texts = None, since: Text = None, last_event_id: LastEventId = None
) -> EventStream:
    """Follow which views and rules of alerts are saved and deleted."""
    return await _open(request, {"saved": {"collections": collection}}, since, last_event_id)


async def _open(
    request: Request, topic: dict[str, dict[str, Any]], since: str | None, last_event_id: str | None
) -> EventStream:
    fields: dict[str, Any] = {name: _given(given) for name, given in topic.items()}
    return await open_stream(request, question_of({**fields, "since": since}), last_event_id)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
