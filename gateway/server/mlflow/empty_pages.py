"""
Questions of MLflow's pages and clients about what the door does not keep: traces, scorers, prompts' jobs, a gateway.

Each answer is that of a MLflow server that has none of it (mlflow/server/handlers.py), so that pages show an empty list
where they would show an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from gateway.server.ingest import bodies
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.protobuf import array, required, string, texts
from gateway.server.mlflow.routing import PREFIXES, Call, Route


async def _none(door: Door, call: Call) -> Mapping[str, Any]:
    return {}


ROUTES = [
    Route("POST", "/mlflow/traces/search", "SearchTracesV3", _none, {"locations": [array, required]}, 3),
    Route("POST", "/mlflow/traces/batchGetInfos", "BatchGetTraceInfos", _none, {"trace_ids": [texts, required]}, 3),
    Route("GET", "/mlflow/traces/batchGet", "BatchGetTraces", _none, {"trace_ids": [texts, required]}, 3),
    Route(
        "POST",
        "/mlflow/traces/metrics",
        "QueryTraceMetrics",
        _none,
        {
            "experiment_ids": [texts, required],
            "view_type": [required],
            "metric_name": [string, required],
            "aggregations": [array, required],
        },
        3,
    ),
    Route("GET", "/mlflow/traces", "SearchTraces", _none, {"experiment_ids": [texts, required]}),
    Route("GET", "/mlflow/scorers/list", "ListScorers", _none, {"experiment_id": [string]}, 3),
    Route("POST", "/mlflow/datasets/search", "SearchEvaluationDatasets", _none, {"experiment_ids": [array]}, 3),
]


class Page(NamedTuple):
    """A path below each prefix, and what it always answers."""

    method: str
    path: str
    answer: Mapping[str, Any]


PAGES = [
    Page("POST", "/3.0/mlflow/issues/search", {"next_page_token": ""}),
    Page("GET", "/3.0/mlflow/label-schemas/list", {"next_page_token": ""}),
    Page("GET", "/3.0/mlflow/review-queues/list", {"next_page_token": ""}),
    Page("GET", "/3.0/mlflow/scorers/online-configs", {"configs": []}),
    Page("GET", "/3.0/mlflow/gateway/endpoints/list", {}),
    Page("GET", "/3.0/mlflow/gateway/secrets/list", {}),
    Page("GET", "/3.0/mlflow/gateway/secrets/config", {"secrets_available": False, "using_default_passphrase": True}),
    Page("GET", "/3.0/mlflow/gateway/model-definitions/list", {}),
    Page("GET", "/3.0/mlflow/gateway/budgets/list", {}),
    Page("GET", "/3.0/mlflow/gateway/guardrails/list", {}),
    Page("GET", "/2.0/mlflow/gateway-proxy", {"endpoints": []}),
    Page("GET", "/2.0/mlflow/webhooks", {}),
    Page("POST", "/3.0/jobs/search", {"jobs": []}),
    Page("GET", "/3.0/mlflow/mcp-servers", {"mcp_servers": [], "next_page_token": None}),
    Page(
        "GET",
        "/3.0/mlflow/ui-telemetry",
        {"disable_ui_events": [], "disable_ui_telemetry": True, "ui_rollout_percentage": 0},
    ),
    Page("POST", "/3.0/mlflow/ui-telemetry", {"status": "disabled"}),
    Page("GET", "/3.0/mlflow/assistant/config", {"providers": {}, "projects": {}, "remote_access_allowed": False}),
    Page("GET", "/3.0/mlflow/assistant/providers", {"providers": []}),
]


def install(app: FastAPI) -> None:
    """Add the pages, below each prefix."""
    for page in PAGES:
        for prefix in PREFIXES:
            app.router.add_route(prefix + page.path, _endpoint(page.answer), methods=[page.method])


def _endpoint(answer: Mapping[str, Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        await bodies.drain(request)
        return JSONResponse(answer)

    return endpoint
