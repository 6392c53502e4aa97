"""
Get and search experiments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.experiments.find import experiment_json, find_by_name, find_experiment
from gateway.server.mlflow.routing import Call
from gateway.server.mlflow.search.registry_lists import question, search

MAX_RESULTS = 50_000
_STATES = {1: "active", 2: "deleted"}  # by MLflow's ViewType; all for others


async def get_experiment(door: Door, call: Call) -> Mapping[str, Any]:
    """Return the experiment of an id, also a deleted one."""
    return {"experiment": await find_experiment(door, call.message.experiment_id)}


async def get_by_name(door: Door, call: Call) -> Mapping[str, Any]:
    """Return the experiment of a name, also a deleted one."""
    return {"experiment": await find_by_name(door, call.message.experiment_name)}


async def search_experiments(door: Door, call: Call) -> Mapping[str, Any]:
    """Return a page of experiments, newest first unless another order is asked for."""
    asked, count = call.message, call.message.max_results
    if not 1 <= count <= MAX_RESULTS:
        must = "a positive integer" if count < 1 else f"at most {MAX_RESULTS}"
        raise invalid(f"Invalid value {count} for parameter 'max_results' supplied. It must be {must}")
    what = question("experiments", asked.filter, asked.order_by, asked.page_token)
    state = _STATES.get(asked.view_type, "all")
    found, token = await search(door, "/v1/experiments", "experiments", what, count, state=state)
    answer: dict[str, Any] = {"experiments": [experiment_json(one) for one in found]} if found else {}
    return answer | ({"next_page_token": token} if token else {})
