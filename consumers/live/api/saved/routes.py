"""
Paths of views, rules of alerts and definitions of metrics.
"""

from __future__ import annotations

from fastapi import APIRouter

from consumers.live.api.saved.definitions import common_definitions, metric_definitions
from consumers.live.api.saved.items import alert_rule, alert_rule_versions, alert_rules, view, view_versions, views
from schemas.api.metric_definitions import CommonDefinitionsPage, DefinitionsQuestion, MetricDefinitionsPage
from schemas.api.saved import AlertRulesPage, SavedItem, SavedVersionsPage, ViewsPage


def add_routes(router: APIRouter) -> None:
    """Add the routes that read them."""
    router.add_api_route("/v1/views", views, response_model=ViewsPage)
    router.add_api_route("/v1/views/{item_id:run}/versions", view_versions, response_model=SavedVersionsPage)
    router.add_api_route("/v1/views/{item_id:run}", view, response_model=SavedItem)
    router.add_api_route("/v1/alert-rules", alert_rules, response_model=AlertRulesPage)
    versions = "/v1/alert-rules/{item_id:run}/versions"
    router.add_api_route(versions, alert_rule_versions, response_model=SavedVersionsPage)
    router.add_api_route("/v1/alert-rules/{item_id:run}", alert_rule, response_model=SavedItem)
    definitions = "/v1/runs/{run_id:run}/metric-definitions"
    router.add_api_route(definitions, metric_definitions, response_model=MetricDefinitionsPage)
    asked = {"requestBody": {"content": {"application/json": {"schema": DefinitionsQuestion.model_json_schema()}}}}
    router.add_api_route(
        "/v1/metric-definitions", common_definitions, methods=["POST"], response_model=CommonDefinitionsPage,
        openapi_extra=asked,
    )  # fmt: skip
