"""
Search of runs: MLflow's filter, order and pages; and of the datasets that runs have as inputs.

A page token of MLflow is an offset, so runs that are added meanwhile shift its pages. One of the door also names the
run after which the next page begins, and pages do not shift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.experiments.find import find_experiment
from gateway.server.mlflow.protobuf import array, integer, string, texts
from gateway.server.mlflow.routing import Call, Route
from gateway.server.mlflow.run_json import DATASET, run_json
from gateway.server.mlflow.search.grammar import parse_run_filter, parse_run_orders, read_place, write_place
from gateway.server.mlflow.search.run_filter import IN_DATASET, run_filter, run_order
from schemas.mapping.mlflow import DEFAULT_EXPERIMENT_ID

DOCUMENTS = "/v1/runs/documents"
MAX_RESULTS = 50_000  # mlflow/store/tracking/__init__.py, SEARCH_MAX_RESULTS_THRESHOLD
PAGE_RUNS = 1_000  # asked of the query API at once
MAX_DATASETS = 1_000  # in one answer (MLflow's MAX_DATASET_SUMMARIES_RESULTS)
MAX_DATASET_EXPERIMENTS = 20
STAGES = {1: "active", 2: "deleted", 3: "all"}  # by number in MLflow's enum ViewType


async def search_runs(door: Door, call: Call) -> Mapping[str, Any]:
    """Answer a page of the runs of experiments that match a filter."""
    asked = call.message
    limit = _limit(asked.max_results)
    wanted = run_filter(parse_run_filter(asked.filter))
    order = run_order(parse_run_orders(asked.order_by))
    offset, token = read_place(asked.page_token)
    experiments = await experiment_ids(door, asked.experiment_ids)
    if wanted is False or not experiments:
        return {}
    question = {
        "filter": {} if wanted is True else wanted,
        "experiment_ids": experiments,
        "order_by": order,
        "stage": STAGES[asked.run_view_type] if asked.HasField("run_view_type") else "active",
    }
    found: list[Mapping[str, Any]] = []
    while True:
        page = await door.reader.post(
            DOCUMENTS, question | {"limit": min(PAGE_RUNS, limit - len(found)), "page_token": token}
        )
        found += map(run_json, page["runs"])
        token = page["next_page_token"]
        if token is None or len(found) >= limit:
            break
    answer: dict[str, Any] = {"runs": found} if found else {}
    return answer if token is None else {**answer, "next_page_token": write_place(offset + len(found), token)}


async def search_datasets(door: Door, call: Call) -> Mapping[str, Any]:
    """Answer name, digest and context of the datasets that the runs of experiments have as inputs, each once."""
    given = list(call.message.experiment_ids)
    if not given:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(given) > MAX_DATASET_EXPERIMENTS:
        raise invalid(
            f"SearchDatasets request cannot specify more than {MAX_DATASET_EXPERIMENTS} experiment_ids. "
            f"Received {len(given)} experiment_ids."
        )
    paths = [IN_DATASET[name] for name in ("name", "digest", "context")]
    asked = {
        "experiment_id": await experiment_ids(door, given),
        "prefix": DATASET,
        "path": paths,
        "limit": MAX_DATASETS,
    }
    found = (await door.reader.get("/v1/run-labels", **asked))["labels"]
    return {"dataset_summaries": [_summary(one["experiment_id"], *one["values"]) for one in found]} if found else {}


def _summary(experiment_id: str, name: str, digest: str, context: str | None) -> dict[str, str]:
    summary = {"experiment_id": experiment_id or DEFAULT_EXPERIMENT_ID, "name": name, "digest": digest}
    return summary if context is None else {**summary, "context": context}


async def experiment_ids(door: Door, given: Iterable[str]) -> list[str]:
    """
    Return the experiments of a request as the query API names them.

    Raises Refused for an id that is no number, as those of native experiments are, and names none.
    """
    found = []
    for one in given:
        try:
            found.append(str(int(one)))
        except ValueError:
            found.append((await find_experiment(door, one))["experiment_id"])
    return [*found, ""] if DEFAULT_EXPERIMENT_ID in found else found  # "": runs of no registered experiment


def _limit(max_results: int) -> int:
    name = f"Invalid value {max_results} for parameter 'max_results' supplied. It must be"
    if max_results < 1:
        raise invalid(f"{name} a positive integer")
    if max_results > MAX_RESULTS:
        raise invalid(f"{name} at most {MAX_RESULTS}")
    return max_results


def _is_page(value: Any) -> bool:
    """Tell whether a number, or the text of one, is not too large for a page: also one that no field can hold."""
    return value is None or int(value) <= MAX_RESULTS


ROUTES = [
    Route(
        "POST", "/mlflow/runs/search", "SearchRuns", search_runs,
        {"experiment_ids": [array], "filter": [string], "max_results": [integer, _is_page], "order_by": [array, texts]},
    ),
    Route("POST", "/mlflow/experiments/search-datasets", "SearchDatasets", search_datasets),
]  # fmt: skip
