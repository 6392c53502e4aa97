"""
Metrics of logged models: a metric of a run that names a model is a point of that model too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.logged_models.models import check_exists
from gateway.server.mlflow.requests import write
from schemas.columns import float_to_json

EVENT_POINTS = 100  # of one event: the longest names take less than half of a record


async def check_models(door: Door, metrics: Iterable[Any]) -> None:
    """Raise Refused, as MLflow does, if one of these metrics (messages of MLflow) names no model that exists."""
    for model_id in {one.model_id for one in metrics}:
        try:
            await check_exists(door, model_id)
        except Refused as error:
            code = "BAD_REQUEST" if error.code == "RESOURCE_DOES_NOT_EXIST" else error.code
            raise Refused(code, error.message) from None


async def write_points(door: Door, run_id: str, metrics: Sequence[Any]) -> None:
    """Write metrics of a run, which all name a model, as points of those models. Raises Refused."""
    points: dict[str, list[dict[str, Any]]] = {}
    for one in metrics:
        points.setdefault(one.model_id, []).append(_point(run_id, one))
    for model_id, found in points.items():
        for first in range(0, len(found), EVENT_POINTS):
            part = found[first : first + EVENT_POINTS]
            await write(door, "logged_models", model_id, "logged_model_metrics", metrics=part)


def _point(run_id: str, metric: Any) -> dict[str, Any]:
    found = {
        "name": metric.key,
        "value": float_to_json(metric.value),
        "time": metric.timestamp * 1_000,
        "step": metric.step,
        "run_id": run_id,
    }
    return found | {name: text for name in ("dataset_name", "dataset_digest") if (text := getattr(metric, name))}
