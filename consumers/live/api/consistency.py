"""
Read-your-writes: reads that are at least as new as a given write, by `min_offsets` or by the barrier of one producer.

A position here is what every answer calls `as_of`: the next offset of the log that the answer does not include. A read
with `min_offsets` waits until everything below those offsets is folded and then reads one snapshot; `end` means the
offsets at which the log ends when the request comes. After `timeout_s` it is answered with 504 and says what is
missing; older data is never returned instead.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel

from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.fold_progress import MAX_WAIT_S, Folded, Producer, missing_records
from consumers.live.api.responses import json_response
from consumers.live.stream.positions import MAX_TEXT, parse_positions, write_positions
from consumers.store.read.snapshot import NOTHING_FOLDED
from schemas.bounds import MAX_RUN_ID

END = "end"
MinOffsets = Annotated[
    str | None,
    Query(max_length=MAX_TEXT, description="partition:offset[,partition:offset...], or end: that of the log"),
]
TimeoutS = Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="seconds to wait until it is folded")]
SHOWN_RANGES = 5


class Received(BaseModel):
    """Everything that a producer numbered below `below` is folded."""

    run_id: str
    producer: str
    below: int
    as_of: str


async def until_folded(connections: Connections, min_offsets: str | None, timeout_s: float) -> None:
    """
    Return once everything below `min_offsets` is folded, for END everything that the log has now.

    Raises Failure 504 when that takes over `timeout_s`, and LogUnavailable while Kafka does not say where END is.
    """
    if min_offsets is None:
        return
    try:
        wanted = (await connections.bounds.ask()).end if min_offsets == END else parse_positions(min_offsets)
    except ValueError as error:
        raise bad_parameter("min_offsets", str(error), f"pass as_of of an earlier answer, or {END}") from None
    is_there, now = await connections.progress.wait_until(
        lambda now: not missing_records(wanted, now.offsets), timeout_s
    )
    if not is_there:
        folded = now.offsets
        rest = missing_records(wanted, folded)
        parts = ", ".join(
            f"{count:,} of partition {partition}" for partition, count in list(rest.items())[:SHOWN_RANGES]
        )
        raise Failure(
            504,
            f"not folded within {timeout_s:g} s: {parts} (asked for {write_positions(wanted):.200}, "
            f"folded {write_positions(folded):.200})",
            "ask again, with a longer timeout_s, or see whether the materialiser runs with `gateway status`",
        )


async def received(
    request: Request,
    run_id: str,
    producer: Annotated[str, Query(min_length=1, max_length=1_000)],
    below: Annotated[int, Query(ge=0, le=2**62)],
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Wait until all records that a producer numbered below `below` are folded; 504 names those that are missing.

    Reads after this answer include them.
    """
    if len(run_id) > MAX_RUN_ID or "\x00" in run_id or "\x00" in producer:
        raise bad_parameter("producer", "no event can carry this run or producer", "pass those of the run")
    connections = connections_of(request)
    key = (run_id, producer)
    is_there, now = await connections.progress.wait_until(lambda now: not _missing(now, key, below), timeout_s, key)
    if not is_there:
        raise _not_received(run_id, producer, below, _missing(now, key, below), timeout_s)
    as_of = write_positions(now.offsets)
    return json_response(Received(run_id=run_id, producer=producer, below=below, as_of=as_of))


def _missing(now: Folded, key: Producer, below: int) -> list[tuple[int, int]]:
    """Return the ranges of numbers below `below` that are not folded."""
    numbers = now.received.get(key, NOTHING_FOLDED)
    found = [(first, min(end, below)) for first, end in numbers.missing if first < below]
    return [*found, (numbers.below, below)] if numbers.below < below else found


def _not_received(run_id: str, producer: str, below: int, missing: list[tuple[int, int]], timeout_s: float) -> Failure:
    count = sum(end - first for first, end in missing)
    ranges = ", ".join(
        str(first) if end == first + 1 else f"{first} to {end - 1}" for first, end in missing[:SHOWN_RANGES]
    )
    more = ", …" if len(missing) > SHOWN_RANGES else ""
    return Failure(
        504,
        f"not folded within {timeout_s:g} s: {count:,} of {below:,} records of producer {producer:.100} of run "
        f"{run_id:.100} (number {ranges}{more})",
        "see whether the materialiser runs, and whether records are parked, with `gateway status`",
    )
