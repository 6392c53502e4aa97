"""
The addresses of tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from consumers.live.api.tables.columns import ColumnsQuestion, ValuesQuestion, columns, values
from consumers.live.api.tables.filters import FilterQuestion, check_filter
from consumers.live.api.tables.table import TableQuestion, runs_table
from schemas.api.tables import ColumnsFound, FilterCheck, RunsTable, ValuesFound

_ROUTES: list[tuple[str, Callable[..., Any], type[BaseModel], type[BaseModel]]] = [
    ("/v1/runs/table", runs_table, TableQuestion, RunsTable),
    ("/v1/runs/columns", columns, ColumnsQuestion, ColumnsFound),
    ("/v1/runs/values", values, ValuesQuestion, ValuesFound),
    ("/v1/filters/check", check_filter, FilterQuestion, FilterCheck),
]


def add_routes(router: APIRouter) -> None:
    """Add them."""
    for path, endpoint, question, answer in _ROUTES:
        add_question(router, path, endpoint, question, answer)


def add_question(
    router: APIRouter,
    path: str,
    endpoint: Callable[..., Any],
    question: type[BaseModel],
    answer: type[BaseModel],
) -> None:
    """Add a route that reads only, and takes a body because its question is long."""
    asked = {"requestBody": {"content": {"application/json": {"schema": question.model_json_schema()}}}}
    router.add_api_route(path, endpoint, methods=["POST"], response_model=answer, openapi_extra=asked)
