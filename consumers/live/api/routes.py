"""
URL routes of the query API: those that read, and those that append changes to the log (consumers/live/edits).

A run id may hold any character; in a path it is percent-encoded, and slashes may be encoded or not. So may
the id of an experiment and the name of a model.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor

from consumers.live.api.access import routes as access
from consumers.live.api.alerts.routes import add_routes as add_alerts
from consumers.live.api.artifacts import artifact_content, artifacts
from consumers.live.api.charts.routes import add_routes as add_chart_routes
from consumers.live.api.comparison.routes import add_routes as add_comparison_routes
from consumers.live.api.consistency import Received, received
from consumers.live.api.content.routes import add_routes as add_content_routes
from consumers.live.api.export.routes import add_routes as add_export
from consumers.live.api.registry.logged_models import logged_model, logged_model_artifacts, search_logged_models
from consumers.live.api.registry.models import (
    decision,
    experiment,
    experiments,
    model,
    model_versions,
    models,
    version,
    versions,
)
from consumers.live.api.run_documents import DocumentsQuery, run_documents
from consumers.live.api.run_labels import LabelValuesList, run_labels
from consumers.live.api.runs import history, points, points_sample, progress, run_log, runs, series
from consumers.live.api.saved.routes import add_routes as add_saved_routes
from consumers.live.api.stream import stream
from consumers.live.api.streams.routes import add_routes as add_stream_routes
from consumers.live.api.system import healthz, run_log_schema, status
from consumers.live.api.tables.routes import add_routes as add_table_routes
from consumers.live.edits.routes import add_routes as add_edit_routes
from schemas.api import (
    ArtifactsPage,
    DecisionDocument,
    Experiment,
    ExperimentsPage,
    HistoryPage,
    LoggedModelArtifacts,
    LoggedModelDocument,
    LoggedModelsPage,
    ModelDocument,
    ModelsPage,
    ModelVersionDocument,
    ModelVersionsPage,
    PointsPage,
    RunDocumentsPage,
    RunProgress,
    RunsPage,
    SeriesPage,
    Status,
)
from schemas.runlog import RunLog


class _RunConvertor(Convertor[str]):
    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _DigitsConvertor(_RunConvertor):
    regex = "[0-9]+"  # Starlette's own convertor "int" fails with thousands of them


def routes() -> APIRouter:
    """Return the routes of the API."""
    if "run" not in CONVERTOR_TYPES:  # Starlette's own convertor "path" stops at a line break
        register_url_convertor("run", _RunConvertor())
        register_url_convertor("digits", _DigitsConvertor())
    router = APIRouter()
    router.add_api_route("/healthz", healthz)
    router.add_api_route("/v1/runs", runs, response_model=RunsPage)
    asked = {"requestBody": {"content": {"application/json": {"schema": DocumentsQuery.model_json_schema()}}}}
    documents = "/v1/runs/documents"
    router.add_api_route(
        documents, run_documents, methods=["POST"], response_model=RunDocumentsPage, openapi_extra=asked
    )
    router.add_api_route("/v1/run-labels", run_labels, response_model=LabelValuesList)
    router.add_api_route("/v1/runs/{run_id:run}/log", run_log, response_model=RunLog)
    router.add_api_route("/v1/runs/{run_id:run}/series", series, response_model=SeriesPage)
    router.add_api_route("/v1/runs/{run_id:run}/history", history, response_model=HistoryPage)
    router.add_api_route("/v1/points", points, response_model=PointsPage)
    router.add_api_route("/v1/points/sample", points_sample, response_model=PointsPage)
    router.add_api_route("/v1/runs/{run_id:run}/received", received, response_model=Received)
    router.add_api_route("/v1/runs/{run_id:run}/progress", progress, response_model=RunProgress)
    router.add_api_route("/v1/runs/{run_id:run}/artifacts", artifacts, response_model=ArtifactsPage)
    content = "/v1/runs/{run_id:run}/artifacts/content"
    router.add_api_route(content, artifact_content, response_class=FileResponse)
    router.add_api_route(content, artifact_content, methods=["HEAD"], include_in_schema=False)
    _add_registry(router)
    add_saved_routes(router)
    add_edit_routes(router)
    add_export(router)
    add_table_routes(router)
    add_comparison_routes(router)
    add_content_routes(router)
    access.add_routes(router)
    add_alerts(router)
    add_chart_routes(router)
    router.add_api_route("/v1/stream", stream)
    add_stream_routes(router)
    router.add_api_route("/v1/status", status, response_model=Status)
    router.add_api_route("/v1/schemas/run-log", run_log_schema)
    return router


def _add_registry(router: APIRouter) -> None:
    router.add_api_route("/v1/experiments", experiments, response_model=ExperimentsPage)
    router.add_api_route("/v1/experiments/{experiment_id:run}", experiment, response_model=Experiment)
    router.add_api_route("/v1/models", models, response_model=ModelsPage)
    router.add_api_route("/v1/models/{name:run}/versions/{number:digits}", version, response_model=ModelVersionDocument)
    router.add_api_route("/v1/models/{name:run}/versions", versions, response_model=ModelVersionsPage)
    router.add_api_route("/v1/models/{name:run}", model, response_model=ModelDocument)
    router.add_api_route("/v1/model-versions", model_versions, response_model=ModelVersionsPage)
    found = "/v1/logged-models/search"
    router.add_api_route(found, search_logged_models, methods=["POST"], response_model=LoggedModelsPage)
    files = "/v1/logged-models/{model_id:run}/artifacts"
    router.add_api_route(files, logged_model_artifacts, response_model=LoggedModelArtifacts)
    router.add_api_route("/v1/logged-models/{model_id:run}", logged_model, response_model=LoggedModelDocument)
    router.add_api_route("/v1/decisions/{collection}/{producer:run}", decision, response_model=DecisionDocument)
