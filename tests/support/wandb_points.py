"""The metric points in the history lines that a W&B server received."""

from __future__ import annotations

from consumers.trackers.wandb.translate import STEP_KEY
from schemas.facts import Point
from schemas.mapping.names import wandb_name
from tests.support.wandb_server import WandbServer

_ROW_KEYS = ("_step", "_timestamp", "_runtime", STEP_KEY)


def points_at(server: WandbServer, wandb_id: str) -> list[Point]:
    """Return every number of every line of a run as a point, duplicates included."""
    return [
        Point(wandb_name(key), row[STEP_KEY], round(row["_timestamp"] * 1e6) // 1_000, float(value))
        for row in server.history(wandb_id)
        for key, value in row.items()
        if key not in _ROW_KEYS and isinstance(value, int | float) and not isinstance(value, bool)
    ]
