"""
The addresses of what a run wrote.
"""

from __future__ import annotations

from fastapi import APIRouter

from consumers.live.api.content.pages import console, observations
from schemas.api.content import ConsolePage, ObservationsPage


def add_routes(router: APIRouter) -> None:
    """Add them."""
    router.add_api_route("/v1/runs/{run_id:run}/console", console, response_model=ConsolePage)
    router.add_api_route("/v1/runs/{run_id:run}/observations", observations, response_model=ObservationsPage)
