"""
Creating, reading, updating, deleting and restoring runs.

MLflow has statuses and no attempts: what its clients write is of the first attempt, or of the newest one of a native
run. A status that follows an end reopens the run first, so that the last status counts, as in MLflow, and not the most
severe one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from gateway.client.encoding.values import cut_bytes, now
from gateway.client.ids import run_name as random_name
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.experiments.find import active_experiment, default_location, require_experiment
from gateway.server.mlflow.routing import Call
from gateway.server.mlflow.run_json import ARTIFACT_URI_LABEL, USER_LABEL, run_info, run_json
from gateway.server.mlflow.runs import events
from gateway.server.mlflow.runs.events import Body
from gateway.server.mlflow.runs.known import NEVER, KnownRun, find_document, no_run
from gateway.server.mlflow.runs.outbox import wait
from schemas.bounds import MAX_NAME
from schemas.mapping.mlflow import NOBODY, PARENT_TAG, RUN_NAME_TAG, STATE_OF, USER_TAG
from schemas.statuses import ENDED


async def create_run(door: Door, call: Call) -> Mapping[str, Any]:
    """
    `runs/create`.

    A call that the log did not acknowledge in time is repeated by its client with the same content: it gets the run
    that the first one made.
    """
    key = call.message.SerializeToString()
    if earlier := door.runs.unanswered.pop(key):
        document, writing = earlier
        sent = wait(writing)
    else:
        document, bodies = await _new_run(door, call.message)
        run = KnownRun(run_info(document), {}, NEVER)
        run.changing = writing = asyncio.get_running_loop().create_future()
        sent = door.runs.send(door.runs.number(run, bodies, writing.set_result))
        door.runs.known.add(run)
    try:
        await sent
    finally:
        if not writing.done():
            door.runs.unanswered.keep(key, (document, writing))
    return {"run": run_json(document)}


async def _new_run(door: Door, message: Any) -> tuple[dict[str, Any], list[Body]]:
    """Return the document of a new run (schemas/api) and the events that make it."""
    experiment = await active_experiment(door, message.experiment_id)
    require_experiment(str(experiment["name"]))
    experiment_id, location = str(experiment["experiment_id"]), str(experiment["artifact_location"])
    tags = {tag.key: tag.value for tag in message.tags}
    given, in_tags = message.run_name, tags.get(RUN_NAME_TAG, "")
    if given and in_tags and given != in_tags:
        raise invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{given}', mlflow.runName='{in_tags}')."
        )
    time, run_id, name = now(), uuid4().hex, given or in_tags or random_name()
    tags.setdefault(RUN_NAME_TAG, name)
    started = events.time_of(message.start_time, "start_time") if message.start_time else time
    labels: dict[str, str] = {}
    if location != default_location(experiment_id):
        folder, mark, query = location.partition("?")
        labels[ARTIFACT_URI_LABEL] = f"{folder.rstrip('/')}/{run_id}/artifacts{mark}{query}"
    if message.user_id and message.user_id != tags.get(USER_TAG, NOBODY):
        labels[USER_LABEL] = message.user_id
    description = {"name": name, "experiment_id": experiment_id, "parent_run_id": tags.get(PARENT_TAG, "")}
    document = {
        "run_id": run_id, **description, "lifecycle_stage": "active", "state": "running", "created": started,
        "started": started, "params": {}, "metrics": {}, "tags": tags, "labels": labels,
    }  # fmt: skip
    start = {"kind": "run_started", "time": started, **description, "tag": experiment["name"], "heartbeats": False}
    bodies = [start, events.tags(tags, time), *([events.labels(labels, time)] if labels else [])]
    return document, bodies


async def get_run(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/get`: at least as new as what this door wrote; a run that is not there may be in the rest of the log."""
    run_id = call.message.run_id or call.message.run_uuid
    document = await find_document(door.reader, run_id)
    if document is None:
        document = await find_document(door.reader, run_id, min_offsets="end")
    if document is None:
        raise no_run(run_id)
    return {"run": run_json(document)}


async def update_run(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/update`: the status, the end and the name of a run."""
    message = call.message
    run = await door.runs.find(message.run_id or message.run_uuid)
    status = _enum_name(message, "status") if message.HasField("status") else None
    ended = events.time_of(message.end_time, "end_time") if message.HasField("end_time") else None
    bodies = rename(message.run_name, now()) if message.run_name else []
    changed, more = _changed_status(run.info, status, ended)
    if message.run_name:
        changed["run_name"] = message.run_name
    await _change(door, run, [*bodies, *more], changed)
    return {"run_info": run.info}


async def delete_run(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/delete`: into the trash; `runs/restore` takes it out."""
    return await _set_stage(door, call.message.run_id, "deleted")


async def restore_run(door: Door, call: Call) -> Mapping[str, Any]:
    """`runs/restore`."""
    return await _set_stage(door, call.message.run_id, "active")


def rename(name: str, time: int) -> list[Body]:
    """Return the events that give a run another name, which is also a tag of MLflow."""
    short = cut_bytes(name[:MAX_NAME], MAX_NAME)
    return [{"kind": "renamed", "time": time, "what": "run", "new": short}, events.tags({RUN_NAME_TAG: name}, time)]


def _changed_status(
    info: Mapping[str, Any], status: str | None, ended: int | None
) -> tuple[dict[str, Any], list[Body]]:
    """Return the fields of `run_info` that a new status or end changes, and the events that say so."""
    has_ended = STATE_OF[info["status"]] in ENDED
    if status is None and ended is not None and has_ended:
        status = info["status"]  # the same end at another time
    reopened = [{"kind": "run_reopened", "time": now()}]
    if status is None or (status == info["status"] and ended is not None and info.get("end_time") == ended // 1_000):
        return {}, []
    if STATE_OF[status] in ENDED:
        time = now() if ended is None else ended
        end = {"kind": f"run_{STATE_OF[status]}", "time": time}
        return {"status": status, "end_time": time // 1_000}, [*(reopened if has_ended else []), end]
    return {"status": "RUNNING", "end_time": None}, [] if info["status"] == "RUNNING" else reopened


async def _set_stage(door: Door, run_id: str, stage: str) -> Mapping[str, Any]:
    run = await door.runs.known.find(run_id)
    is_new = run.info["lifecycle_stage"] != stage
    bodies: list[Body] = [{"kind": "lifecycle_stage", "time": now(), "stage": stage}] if is_new else []
    await _change(door, run, bodies, {"lifecycle_stage": stage})
    return {}


async def _change(door: Door, run: KnownRun, bodies: list[Body], changed: Mapping[str, Any]) -> None:
    """Write events that change the `run_info` of a run. A call that changes nothing waits for the one that did."""
    if not bodies:
        if run.changing is not None:
            await wait(run.changing)
        return
    writing: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    is_end = STATE_OF.get(str(changed.get("status"))) in ENDED
    sending = door.runs.number(run, bodies, writing.set_result, is_last=is_end)
    run.info = {key: value for key, value in {**run.info, **changed}.items() if value is not None}
    run.changes += 1
    run.changing = writing
    await door.runs.send(sending)


def _enum_name(message: Any, field: str) -> str:
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(message, field)].name)
