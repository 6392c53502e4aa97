"""
Paths that take changes.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from consumers.live.edits.runs import edit_run
from consumers.live.edits.saved import delete_alert_rule, delete_view, save_alert_rule, save_view
from schemas.api.edits import RunEdits, RunEditsAnswer
from schemas.api.saved import AlertRuleQuestion, SavedAnswer, ViewQuestion


def add_routes(router: APIRouter) -> None:
    """Add the routes that write."""
    router.add_api_route(
        "/v1/runs/{run_id:run}/edits", edit_run, methods=["POST"], response_model=RunEditsAnswer,
        openapi_extra=_body(RunEdits),
    )  # fmt: skip
    saved: list[tuple[str, type[BaseModel], Any, Any]] = [
        ("/v1/views/{item_id:run}", ViewQuestion, save_view, delete_view),
        ("/v1/alert-rules/{item_id:run}", AlertRuleQuestion, save_alert_rule, delete_alert_rule),
    ]
    for path, question, save, delete in saved:
        router.add_api_route(path, save, methods=["PUT"], response_model=SavedAnswer, openapi_extra=_body(question))
        router.add_api_route(path, delete, methods=["DELETE"], response_model=SavedAnswer)


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}, "required": True}}
