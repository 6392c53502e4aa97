"""
Endpoint `POST /v1/runs/{id}/edits`: what people change about a run.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import json_response
from consumers.live.api.runs import refuse_impossible, unknown_run
from consumers.live.edits.bodies import check_records, read_body
from consumers.live.edits.identity import RequestIdentity, identity_of
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from schemas import events as ev
from schemas.api.edits import RunEdits, RunEditsAnswer
from schemas.values import BoolValue, FloatValue, IntValue, JsonValue, StringValue, Typed
from schemas.wire import EncodedRecord, Envelope, ProducerId, RunId, encode


async def edit_run(
    request: Request, run_id: str, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0
) -> Response:
    """
    Change tags, note, parameters, name or stage of a run; answered once the log has it.

    `as_of` of the answer, passed as `min_offsets`, makes a read include the change. A request that is repeated with the
    same header `Idempotency-Key` (a UUID) changes nothing more.
    """
    refuse_impossible(run_id)
    asked = await read_body(request, RunEdits)
    identity = identity_of(request)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    key = (run_id, identity.producer)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        progress = await now.progress(run_id, max_series=0)
        known = (await now.received([key]))[key]
    if progress is None or progress.is_deleted:
        raise unknown_run(run_id)
    records = _records(run_id, identity, asked, progress.attempt)
    if len(records) == 1:
        raise bad_parameter("body", "it changes nothing", "name tags, note, params, name or stage")
    if known.below:
        if known.below != len(records):
            raise Failure(409, "this Idempotency-Key was that of another request", "send a new UUID with each change")
        as_of = folded
    else:
        check_records(records)
        as_of = await connections.appender.append(records)
    return json_response(RunEditsAnswer(run_id=run_id, request_id=identity.producer, as_of=write_positions(as_of)))


def _records(run_id: str, identity: RequestIdentity, asked: RunEdits, attempt: int) -> list[EncodedRecord]:
    """Return the events that are asked for and the end of their producer, as records."""
    events = _events(asked, identity.time, attempt)
    events.append(
        ev.ProducerClosed(time=identity.time, batches=len(events) + 1, points=0, dropped=0, author=identity.author)
    )
    producer = ProducerId(identity.producer)
    return [encode(Envelope(RunId(run_id), producer, seq, identity.time, event)) for seq, event in enumerate(events)]


def _events(asked: RunEdits, time: int, attempt: int) -> list[ev.AnyEvent]:
    events: list[ev.AnyEvent] = []
    if tags := {name: text for name, text in asked.tags.items() if text is not None}:
        events.append(ev.Tags(time=time, tags=tags))
    events += [ev.Deleted(time=time, what="tag", name=name) for name, text in asked.tags.items() if text is None]
    if asked.note is not None:
        events.append(ev.Note(time=time, text=asked.note))
    if asked.params:
        params = {name: _typed(value) for name, value in asked.params.items()}
        events.append(ev.Params(time=time, params=params, attempt=attempt))
    if asked.name is not None:
        events.append(ev.Renamed(time=time, what="run", new=asked.name))
    if asked.stage is not None:
        events.append(ev.LifecycleStage(time=time, stage=asked.stage))
    return events


def _typed(value: Any) -> Typed:
    match value:
        case bool():
            return BoolValue(value=value)
        case int():
            return IntValue(value=value)
        case float():
            return FloatValue(value=value)
        case str():
            return StringValue(value=value)
        case _:
            return JsonValue(value=value)
