"""
Write one request about the registry to the log, and wait for what the fold makes of it.

Each request is the only event of a producer of its own. Sent again it has the same bytes, so it is decided once
(consumers/materialiser/registry). A call that had to be answered with 503 is repeated by its client with the same
content: then it continues with the request of the first call, and gets its decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from gateway.client.encoding.values import now
from gateway.client.encoding.wire import MAX_RECORD, Record, encode_request
from gateway.client.ids import time_of, uuid7
from gateway.server.log_writer import RecordRefused
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, invalid, unavailable
from gateway.server.mlflow.reading import NotThere
from gateway.server.mlflow.unanswered import Asked
from schemas.errors import BadRecord, LogUnavailable
from schemas.wire import decode

WRITE_S = 60.0  # until Kafka has it; the client waits for an answer for 120 s
DECISION_S = 30.0  # beyond that, until it is decided
AGAIN_S = 0.5  # between two attempts


class Decision(NamedTuple):
    """
    What became of a request.

    `outcome` is `done`, or why not: `exists` (its name or id is taken), `absent` (what it is about does not exist),
    `deleted`, `active` (not deleted), `too_large` (tags). `reason` is for people; `result` is what it made or met.
    """

    outcome: str
    reason: str
    result: Mapping[str, Any]
    subject_id: str = ""  # what the request was about


async def request(
    door: Door, collection: str, subject_id: str, kind: str, *, is_new_id: bool = False, **fields: Any
) -> Decision:
    """
    Write the event `kind` about `subject_id` of a collection, and return its decision.

    `is_new_id`: the id was made for this call, so that a repeated call has another one; the decision has the one that
    counts.

    Raises Refused: INVALID_PARAMETER_VALUE for what no event can hold, with nothing written; TEMPORARILY_UNAVAILABLE
    when Kafka does not acknowledge it within 60 s, or nothing decides it within 30 s.
    """
    call = repr((collection, None if is_new_id else subject_id, kind, sorted(fields.items())))
    asked = door.unanswered.pop(call) or _asked(collection, subject_id, kind, fields)
    try:
        await _send(door, asked.record)
        found = await _decision(door, collection, asked.producer)
    except Refused as error:
        if error.code == "TEMPORARILY_UNAVAILABLE":
            door.unanswered.keep(call, asked)
        raise
    return Decision(found["outcome"], found["reason"], found["result"], asked.subject_id)


async def write(door: Door, collection: str, subject_id: str, kind: str, **fields: Any) -> str:
    """Write an event as `request` does, without waiting for its decision; return its producer. Raises Refused."""
    asked = _asked(collection, subject_id, kind, fields)
    await _send(door, asked.record)
    return asked.producer


async def _decision(door: Door, collection: str, producer: str) -> Mapping[str, Any]:
    path = f"/v1/decisions/{quote(collection, safe='')}/{quote(producer, safe='')}"
    end = asyncio.get_running_loop().time() + DECISION_S
    while True:
        left = max(end - asyncio.get_running_loop().time(), 0.0)
        try:
            return await door.reader.get(path, min_offsets=None, timeout_s=min(left, 20.0))
        except NotThere as error:
            raise unavailable(f"the query API knows no decisions about {collection} ({error}): update it") from None
        except Refused as error:
            if error.code != "TEMPORARILY_UNAVAILABLE" or left < AGAIN_S:
                raise
            await asyncio.sleep(AGAIN_S)


def _asked(collection: str, subject_id: str, kind: str, fields: Mapping[str, Any]) -> Asked:
    producer = uuid7()
    body = {"kind": kind, "time": time_of(producer) or now(), **fields}
    return Asked(subject_id, producer, _record(collection, subject_id, producer, body))


def _record(collection: str, subject_id: str, producer: str, body: dict[str, Any]) -> Record:
    """Return the record, which every reader of the log can decode. Raises Refused."""
    try:
        record = encode_request(collection, subject_id, producer, body)
        if len(record.value) > MAX_RECORD:
            raise invalid(f"The request has {len(record.value):,} bytes, and may have {MAX_RECORD:,}.")
        decode(record.key, record.value, record.headers)
    except (BadRecord, UnicodeError) as error:
        raise invalid(str(error)) from None
    return record


async def _send(door: Door, record: Record) -> None:
    end = asyncio.get_running_loop().time() + WRITE_S
    while True:
        try:
            return await door.writer.write([record])
        except RecordRefused as error:
            raise invalid(str(error)) from None
        except LogUnavailable as error:
            if asyncio.get_running_loop().time() > end:
                raise unavailable(str(error)) from None
            await asyncio.sleep(AGAIN_S)
