"""
The datasets that runs of some experiments read: what MLflow's pages offer as a filter of the list of runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.routing import Call
from gateway.server.mlflow.run_json import dataset_inputs
from schemas.mapping.mlflow import DEFAULT_EXPERIMENT_ID

MAX_EXPERIMENTS = 20  # as in mlflow/server/handlers.py
MAX_RUNS = 1_000  # the newest; MLflow names at most 1,000 datasets
CONTEXT_TAG = "mlflow.data.context"


async def search_datasets(door: Door, call: Call) -> Mapping[str, Any]:
    """Answer with each dataset once for each experiment and context. Raises Refused."""
    ids = list(call.message.experiment_ids)
    if not ids:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(ids) > MAX_EXPERIMENTS:
        raise invalid(
            f"SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids. "
            f"Received {len(ids)} experiment_ids."
        )
    wanted = [*ids, ""] if DEFAULT_EXPERIMENT_ID in ids else ids  # "": runs of no registered experiment
    page = await door.reader.post("/v1/runs/documents", {"experiment_ids": wanted, "stage": "all", "limit": MAX_RUNS})
    found = {_summary(run, one): None for run in page["runs"] for one in dataset_inputs(run)}
    return {"dataset_summaries": [{name: text for name, text in one if text is not None} for one in found]}


def _summary(run: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[tuple[str, str | None], ...]:
    dataset = given["dataset"]
    context = next((one["value"] for one in given.get("tags", ()) if one["key"] == CONTEXT_TAG), None)
    experiment_id = run.get("experiment_id") or DEFAULT_EXPERIMENT_ID
    return (
        ("experiment_id", experiment_id), ("name", dataset["name"]), ("digest", dataset["digest"]), ("context", context)
    )  # fmt: skip
