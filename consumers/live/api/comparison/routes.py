"""
The addresses of comparisons.
"""

from __future__ import annotations

from fastapi import APIRouter

from consumers.live.api.comparison.diff import DiffQuestion, runs_diff
from consumers.live.api.comparison.divergence import DivergenceQuestion, runs_divergence
from consumers.live.api.tables.routes import add_question
from schemas.api.comparison import Divergence, RunsDiff


def add_routes(router: APIRouter) -> None:
    """Add them; each reads only."""
    add_question(router, "/v1/runs/diff", runs_diff, DiffQuestion, RunsDiff)
    add_question(router, "/v1/runs/divergence", runs_divergence, DivergenceQuestion, Divergence)
