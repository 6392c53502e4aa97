"""
Metrics, params and tags that clients log into runs.

Everything of a call is checked, in MLflow's order and with its words, before anything is written, and then goes into
the log in one append. MLflow's server writes the params, then the metrics, then the tags of a batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.client.encoding.values import now
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import absent, invalid
from gateway.server.mlflow.logged_models.points import check_models, write_points
from gateway.server.mlflow.protobuf import validate
from gateway.server.mlflow.routing import Call
from gateway.server.mlflow.run_json import run_tags
from gateway.server.mlflow.runs import events
from gateway.server.mlflow.runs.events import Body, Row
from gateway.server.mlflow.runs.known import KnownRun, find_document
from gateway.server.mlflow.runs.lifecycle import rename
from gateway.server.mlflow.runs.races import settle_race
from schemas.mapping.mlflow import LOGGED_MODELS_TAG, RUN_NAME_TAG

_MODEL_FIELDS = {"artifact_path", "flavors", "utc_time_created", "run_id"}
_KEPT_FIELDS = ("run_id", "artifact_path", "utc_time_created", "model_uuid")


async def log_metric(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/log-metric`: the call that trainings make most. It reads nothing once the run is known."""
    message = call.message
    row = _row(message, "")
    run = await door.runs.find(message.run_id or message.run_uuid)
    if message.model_id:
        await check_models(door, [message])
    await door.runs.log(run, [row])
    if message.model_id:
        await write_points(door, run.run_id, [message])
    return {}


async def log_parameter(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/log-parameter`."""
    message = call.message
    param = validate("param", message.key, message.value)
    run = await door.runs.find(message.run_id or message.run_uuid)
    old = run.params.get(param.key, param.value)
    if old != param.value:
        raise invalid(
            f"Changing param values is not allowed. Param with key='{param.key}' was already logged with "
            f"value='{old}' for run ID='{run.run_id}'. Attempted logging new value '{param.value}'."
        )
    await _log(door, run, [], {param.key: param.value}, [])
    return {}


async def log_batch(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/log-batch`."""
    message = call.message
    validate("run_id", message.run_id)
    rows = [_row(one, f"metrics[{index}]") for index, one in enumerate(message.metrics)]
    params = [validate("param", one.key, one.value, f"params[{index}]") for index, one in enumerate(message.params)]
    tags = [validate("tag", one.key, one.value, f"tags[{index}]") for index, one in enumerate(message.tags)]
    validate("batch_log_limits", rows, params, tags)
    validate("param_keys_unique", params)
    run = await door.runs.find(message.run_id)
    values = {one.key: one.value for one in params}
    run.check_params(values)
    of_models = [one for one in message.metrics if one.model_id]
    await check_models(door, of_models)
    await _log(door, run, rows, values, _tag_events({tag.key: tag.value for tag in tags}))
    await write_points(door, run.run_id, of_models)
    return {}


async def set_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/set-tag`."""
    message = call.message
    tag = validate("tag", message.key, message.value)
    await door.runs.write(message.run_id or message.run_uuid, _tag_events({tag.key: tag.value}))
    return {}


async def delete_tag(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/delete-tag`: refused if the run does not have the tag."""
    run_id, key = call.message.run_id, call.message.key
    run = await door.runs.find(run_id)
    if key not in await _tags(door, run_id):
        raise absent(f"No tag with name: {key} in run with id {run_id}")
    await door.runs.append(run, [{"kind": "deleted", "time": now(), "what": "tag", "name": key}])
    return {}


async def log_model(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/log-model`: the models of older clients, as a list in a tag."""
    run_id, text = call.message.run_id, call.message.model_json
    try:
        model = json.loads(text)
    except ValueError:
        raise invalid(f"Malformed model info. \n {text} \n is not a valid JSON.") from None
    missing = _MODEL_FIELDS - set(model if isinstance(model, dict) else ())
    if missing:
        raise invalid(f"Model json is missing mandatory fields: {missing}")
    if not isinstance(model["flavors"], dict):
        raise invalid("Model json has flavors that are no object.")
    run = await door.runs.find(run_id)
    entry = {name: model.get(name) for name in _KEPT_FIELDS}
    entry["flavors"] = {
        name: {key: value for key, value in one.items() if key != "config"} if isinstance(one, dict) else one
        for name, one in model["flavors"].items()
    }
    history = [*_list(await _tags(door, run_id)), entry]
    tag = validate("tag", LOGGED_MODELS_TAG, json.dumps(history))
    await door.runs.append(run, [events.tags({tag.key: tag.value}, now())])
    return {}


def metric_fields(value: Any) -> bool:
    """Check that each metric of a batch has what MLflow requires."""
    return _has_fields("metrics", value, ("key", "value", "timestamp"))


def param_fields(value: Any) -> bool:
    """Check that each param of a batch has a key."""
    return _has_fields("params", value, ("key",))


def tag_fields(value: Any) -> bool:
    """Check that each tag of a batch has a key."""
    return _has_fields("tags", value, ("key",))


def _has_fields(name: str, value: Any, fields: Iterable[str]) -> bool:
    if not isinstance(value, list):
        return value is None
    for index, item in enumerate(value):
        for field in fields:
            if not isinstance(item, dict) or item.get(field) in (None, ""):
                raise invalid(
                    f"Missing value for required parameter '{name}[{index}].{field}'. "
                    "See the API docs for more information about request parameters."
                )
    return True


def _row(metric: Any, path: str) -> Row:
    """Return a metric of a request. Raises Refused with MLflow's words."""
    key, value, time, step = metric.key, metric.value, metric.timestamp, metric.step
    validate("metric", key, value, time, step, path)
    if time > events.LAST_MS:
        events.time_of(time, f"{path}.timestamp" if path else "timestamp")
    return Row(key, step, time, None if math.isnan(value) else value)


async def _log(
    door: Door, run: KnownRun, rows: Iterable[Row], params: Mapping[str, str], others: Iterable[Body]
) -> None:
    await door.runs.log(run, rows, params, others)
    if door.settings.mlflow_doors > 1 and params:
        await settle_race(door, run, params)


def _tag_events(tags: Mapping[str, str]) -> list[Body]:
    """Return the events of tags; the one that is the run's name renames the run, unless it is empty."""
    time = now()
    others = {key: text for key, text in tags.items() if key != RUN_NAME_TAG}
    found = [events.tags(others, time)] if others else []
    return [*found, *rename(tags[RUN_NAME_TAG], time)] if tags.get(RUN_NAME_TAG) else found


async def _tags(door: Door, run_id: str) -> dict[str, str]:
    document = await find_document(door.reader, run_id, min_offsets="end")
    return {} if document is None else run_tags(document)


def _list(tags: Mapping[str, str]) -> list[Any]:
    try:
        found = json.loads(tags.get(LOGGED_MODELS_TAG, "[]"))
    except ValueError:
        return []
    return found if isinstance(found, list) else []
