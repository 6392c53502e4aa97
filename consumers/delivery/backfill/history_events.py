"""
Turn the rows of a run back into events, in an order that a training process might have used.

Pure. Points, observations and console lines are not here: there may be many, so they are frozen inside PostgreSQL
(history.sql), between the events of the beginning and of the end. An event whose time no row keeps, for example of
tags, gets the start time of the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from consumers.store.delivery.history import RunEvents, RunSnapshotRows
from schemas.events import MAIN_STEP
from schemas.statuses import ENDED, STATUS_AFTER, STEP_STATUS

Row = Any  # of asyncpg: columns by name
Event = dict[str, Any]  # JSON

PART_CHARACTERS = 262_144  # of JSON in one event, as the client cuts them; a single value may be longer
_STEP_RESULTS = {status: result for result, status in STEP_STATUS.items()} | {"killed": "fail"}
_END_KINDS = {status: kind for kind, status in STATUS_AFTER.items() if status in ENDED}


def run_events(rows: RunSnapshotRows) -> RunEvents:
    """Return the events of a run from its beginning to its current state."""
    return RunEvents(_beginning(rows), _ending(rows))


def removal_events(rows: RunSnapshotRows) -> RunEvents:
    """Return the events that make a tracker remove a run, even if its first call was interrupted."""
    start = {"kind": "run_started", "time": _start(rows.run)}
    return RunEvents([start, {"kind": "deleted", "time": rows.run["updated"], "what": "run"}], [])


def _beginning(rows: RunSnapshotRows) -> list[Event]:
    run, start = rows.run, _start(rows.run)
    events = _opened(rows)
    events += [{"kind": "tags", "time": start, "tags": tags} for tags in _parts(_by_name(rows.tags))]
    events += [{"kind": "labels", "time": start, "labels": labels} for labels in _parts(_by_name(rows.labels))]
    events += [{"kind": "environment", "time": start, "values": values} for values in _parts(run["environment"])]
    if run["note"]:
        events.append({"kind": "note", "time": start, "text": run["note"]})
    events += [{"kind": "code", "time": start, **_without(row, "run_id")} for row in rows.code]
    events += [{"kind": "metric_defined", **_without(row, "run_id")} for row in rows.definitions]
    for step in rows.steps:
        events += _step_begins(step, rows)
    return events + _params(rows)


def _ending(rows: RunSnapshotRows) -> list[Event]:
    run = rows.run
    events: list[Event] = [{"kind": "artifact", **_without(row, "run_id")} for row in rows.artifacts]
    for step in rows.steps:
        events += _step_ends(step, rows)
    if run["state"] in _END_KINDS:
        end = {"attempt": run["attempt"], "message": run["message"]}
        events.append({"kind": _END_KINDS[run["state"]], "time": run["ended"], **end})
    if run["lifecycle_stage"] != "active":
        events.append({"kind": "lifecycle_stage", "time": run["updated"], "stage": run["lifecycle_stage"]})
    if run["deleted"]:
        events.append({"kind": "deleted", "time": run["updated"], "what": "run"})
    return events


def _start(run: Row) -> int:
    return int(run["created"] if run["started"] is None else run["started"])


def _opened(rows: RunSnapshotRows) -> list[Event]:
    run = rows.run
    described = {
        "name": run["name"], "tag": run["tag"], "group": run["group_name"], "parent_run_id": run["parent_run_id"],
        "original_run_id": run["original_run_id"], "dag_hash": run["dag_hash"], "use_cached": run["use_cached"],
        "run_config": run["run_config"], "experiment_id": run["experiment_id"],
    }  # fmt: skip
    if run["started"] is None:  # known, and perhaps running; no event reported its start
        return [{"kind": "run_created", "time": run["created"], "attempt": run["attempt"], **described}]
    main = {row["attempt"]: row for row in rows.attempts if row["step_name"] == MAIN_STEP}
    begun = sorted(number for number in main if number <= run["attempt"]) or [run["attempt"]]
    events: list[Event] = [{"kind": "run_started", "time": run["started"], "attempt": begun[0], **described}]
    for number in begun[1:]:
        time = run["started"] if main[number]["started"] is None else main[number]["started"]
        events.append({"kind": "run_resumed", "time": max(time, run["started"]), "attempt": number})
    return events


def _attempts(step: Row, rows: RunSnapshotRows) -> Iterable[Row]:
    return (row for row in rows.attempts if row["step_name"] == step["step_name"])


def _step_begins(step: Row, rows: RunSnapshotRows) -> list[Event]:
    if step["step_name"] == MAIN_STEP:
        return []
    events: list[Event] = []
    for row in _attempts(step, rows):
        time = _start(rows.run) if row["started"] is None else row["started"]
        context = {"time": time, "step_name": step["step_name"], "attempt": row["attempt"]}
        described = {"name": step["name"], "step_type": step["step_type"], "mock": step["mock"]}
        events.append({"kind": "step_started", **context, **described})
    return events


def _step_ends(step: Row, rows: RunSnapshotRows) -> list[Event]:
    if step["step_name"] == MAIN_STEP:
        return []
    return [
        {
            "kind": "step_finished", "time": row["ended"], "step_name": row["step_name"], "attempt": row["attempt"],
            "status": _STEP_RESULTS[row["state"]], "message": row["message"],
        }
        for row in _attempts(step, rows)
        if row["state"] in _STEP_RESULTS and row["ended"] is not None
    ]  # fmt: skip


def _params(rows: RunSnapshotRows) -> list[Event]:
    # In the order of the rule of schemas/params.py: the value of a name that counts comes last.
    found = [(place, _by_name(group)) for place, group in groupby(rows.params, key=itemgetter("step_name", "attempt"))]
    begun = {(row["step_name"], row["attempt"]): row["started"] for row in rows.attempts}
    return [
        {
            "kind": "params", "time": begun.get((step_name, attempt)) or _start(rows.run), "step_name": step_name,
            "attempt": attempt, "params": params,
        }
        for (step_name, attempt), values in found
        for params in _parts(values)
    ]  # fmt: skip


def _by_name(rows: Iterable[Row]) -> dict[str, Any]:
    return {row["name"]: row["value"] for row in rows}


def _parts(values: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield named values in parts that fit into an event: many records may have set those of a run."""
    part, size = dict[str, Any](), 0
    for name, value in values.items():
        more = len(json.dumps([name, value]))
        if part and size + more > PART_CHARACTERS:
            yield part
            part, size = {}, 0
        part[name] = value
        size += more
    if part:
        yield part


def _without(row: Row, *names: str) -> dict[str, Any]:
    return {name: value for name, value in dict(row).items() if name not in names}
