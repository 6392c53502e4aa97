"""
What went into a run and what came out of it: datasets and logged models, each a label of the run.

The first link of a run with a dataset or a model stays, as in mlflow/store/tracking/sqlalchemy_store.py. A label holds
the object that MLflow answers for it, and its number among those of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.client.encoding.values import now
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.protobuf import array, required, string, validate
from gateway.server.mlflow.routing import Call, Route
from gateway.server.mlflow.run_json import DATASET, MODEL_INPUT, MODEL_OUTPUT, NUMBER
from gateway.server.mlflow.runs import events
from gateway.server.mlflow.runs.known import KnownRun, find_document

Links = Mapping[str, Mapping[str, Any]]  # by the name of the label


async def log_inputs(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/log-inputs`."""
    asked = call.message
    validate("run_id", asked.run_id)
    for one in asked.datasets:
        validate("dataset", one.dataset)
        for tag in one.tags:
            validate("input_tag", tag)
    links: dict[str, Mapping[str, Any]] = {}
    for one in asked.datasets:
        links.setdefault(f"{DATASET}{one.dataset.digest}/{one.dataset.name}", _dataset(one))
    links |= {f"{MODEL_INPUT}{one.model_id}": {"model_id": one.model_id} for one in asked.models}
    run = await door.runs.find(asked.run_id)
    if links:
        await _write(door, run, links, await _labels(door, run))
    return {}


async def log_outputs(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/outputs`: another step of a model that the run has already is refused; the same call again is not."""
    asked = call.message
    run = await door.runs.find(asked.run_id)
    links = {f"{MODEL_OUTPUT}{one.model_id}": {"model_id": one.model_id, "step": one.step} for one in asked.models}
    if links:
        known = await _labels(door, run)
        for name, one in links.items():
            if name in known and known[name]["step"] != one["step"]:
                raise Refused("BAD_REQUEST", f"Model {one['model_id']} is an output of run {run.run_id} already.")
        await _write(door, run, links, known)
    return {}


def _dataset(given: Any) -> dict[str, Any]:
    """Return a dataset of a request as MLflow answers it."""
    dataset = {name: getattr(given.dataset, name) for name in ("name", "digest", "source_type", "source")}
    dataset |= {name: text for name in ("schema", "profile") if (text := getattr(given.dataset, name))}
    tags = [{"key": tag.key, "value": tag.value} for tag in given.tags]
    return {"tags": tags, "dataset": dataset} if tags else {"dataset": dataset}


async def _labels(door: Door, run: KnownRun) -> Mapping[str, Any]:
    document = await find_document(door.reader, run.run_id, min_offsets="end")
    return {} if document is None else document["labels"]


async def _write(door: Door, run: KnownRun, links: Links, known: Mapping[str, Any]) -> None:
    """Write the links that the run does not have, each with its number, which is their order."""
    new = [(name, one) for name, one in links.items() if name not in known]
    if new:
        numbered = {name: {**one, NUMBER: number} for number, (name, one) in enumerate(new, len(known))}
        await door.runs.append(run, [events.labels(numbered, now())])


ROUTES = [
    Route(
        "POST", "/mlflow/runs/log-inputs", "LogInputs", log_inputs,
        {"run_id": [required, string], "datasets": [array], "models": [array]},
    ),
    Route(
        "POST", "/mlflow/runs/outputs", "LogOutputs", log_outputs,
        {"run_id": [required, string], "models": [required, array]},
    ),
]  # fmt: skip
