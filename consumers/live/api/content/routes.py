"""
The addresses of what a run wrote.
"""

from __future__ import annotations

from fastapi import APIRouter

from consumers.live.api.content.deliveries import deliveries
from consumers.live.api.content.pages import console, observations, value_series
from schemas.api.content import ConsolePage, DeliveriesOfRun, ObservationsPage, ValueSeriesPage


def add_routes(router: APIRouter) -> None:
    """Add them."""
    router.add_api_route("/v1/runs/{run_id:run}/console", console, response_model=ConsolePage)
    router.add_api_route("/v1/runs/{run_id:run}/observations", observations, response_model=ObservationsPage)
    index = "/v1/runs/{run_id:run}/observations/index"
    router.add_api_route(index, value_series, response_model=ValueSeriesPage)
    router.add_api_route("/v1/runs/{run_id:run}/deliveries", deliveries, response_model=DeliveriesOfRun)
