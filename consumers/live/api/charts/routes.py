"""
The addresses of charts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from consumers.live.api.charts.charts import ChartsQuestion, series_charts
from consumers.live.api.charts.groups import GroupsQuestion, series_groups
from consumers.live.api.charts.histograms import HistogramsQuestion, series_histograms
from consumers.live.api.charts.index import IndexQuestion, series_index
from consumers.live.api.streams.deltas import DeltasQuestion, series_deltas
from schemas.api.series import ChartsPage, GroupsOfRuns, HistogramsOfSeries, SeriesDeltas, SeriesIndex

_ROUTES: list[tuple[str, Callable[..., Any], type[BaseModel], type[BaseModel]]] = [
    ("/v1/series", series_charts, ChartsQuestion, ChartsPage),
    ("/v1/series/index", series_index, IndexQuestion, SeriesIndex),
    ("/v1/series/deltas", series_deltas, DeltasQuestion, SeriesDeltas),
    ("/v1/series/groups", series_groups, GroupsQuestion, GroupsOfRuns),
    ("/v1/series/histograms", series_histograms, HistogramsQuestion, HistogramsOfSeries),
]


def add_routes(router: APIRouter) -> None:
    """Add them; each reads only, and takes a body because questions are long."""
    for path, endpoint, question, answer in _ROUTES:
        asked = {"requestBody": {"content": {"application/json": {"schema": question.model_json_schema()}}}}
        router.add_api_route(path, endpoint, methods=["POST"], response_model=answer, openapi_extra=asked)
