"""
Paths of alerts, and `GET /v1/alerts`: which rules fired, for which run and series, and since when.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from consumers.live.api.alerts.checks import check_rule
from consumers.live.api.alerts.mutes import change_mute, mutes
from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import bad_parameter
from consumers.live.api.responses import long_response
from consumers.live.stream.positions import write_positions
from consumers.store.alerts.firings import FiringQuestion
from consumers.store.alerts.states import ALERTS
from consumers.store.search.page_token import MAX_TOKEN
from schemas.api.alerts import AlertsPage, MuteQuestion, MutesAnswer, RuleCheck, RuleCheckQuestion
from schemas.bounds import MAX_RUN_ID

MAX_ALERTS = 1_000  # in one answer

Id = Annotated[str | None, Query(max_length=2 * MAX_RUN_ID)]


def add_routes(router: APIRouter) -> None:
    """Add the routes of alerts."""
    router.add_api_route("/v1/alerts", alerts, response_model=AlertsPage)
    router.add_api_route("/v1/alert-mutes", mutes, response_model=MutesAnswer)
    router.add_api_route(
        "/v1/alert-mutes", change_mute, methods=["POST"], response_model=MutesAnswer, openapi_extra=_body(MuteQuestion)
    )
    router.add_api_route(
        "/v1/alert-rules/check", check_rule, methods=["POST"], response_model=RuleCheck,
        openapi_extra=_body(RuleCheckQuestion),
    )  # fmt: skip


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}, "required": True}}


async def alerts(  # noqa: PLR0913, PLR0917 -- FastAPI reads parameters from the signature
    request: Request,
    state: Annotated[Literal["firing", "resolved", "all"], Query()] = "all",
    run_id: Id = None,
    rule_id: Id = None,
    since: Annotated[int | None, Query(ge=0, le=2**62, description="µs: fired then or later")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ALERTS)] = 100,
    page_token: Annotated[str | None, Query(max_length=MAX_TOKEN)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return alerts, newest first: those that fire now, those that were resolved, or both.

    `min_offsets` waits for the materialiser, as everywhere; `as_of` is how far the alerts process is, which is a little
    later. A page continues with `page_token`, however many alerts come meanwhile.
    """
    for name, text in (("run_id", run_id), ("rule_id", rule_id)):
        if text is not None and "\x00" in text:
            raise bad_parameter(name, "it must not contain U+0000", f"correct {name}")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    asked = FiringQuestion(state, run_id, rule_id, since, limit, page_token)
    async with connections.store().snapshot() as now:
        evaluated = await now.offsets(ALERTS, connections.topic)
        try:
            page = await now.registry.firings.page(asked)
        except ValueError as error:
            raise bad_parameter("page_token", str(error), "leave it out to start again") from None
    return await long_response(page.model_copy(update={"as_of": write_positions(evaluated)}), evaluated)
