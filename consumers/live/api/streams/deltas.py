"""
Endpoint `POST /v1/series/deltas`: points that were folded since some offsets, without a stream.

They are read from the log, between the given offsets and those of a snapshot of the store. The log cannot say which of
them count when something replaced points meanwhile, or when a producer has sent records twice; the answer then says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.charts.questions import MAX_POINTS, SeriesQuestion, refuse_unknown
from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.responses import list_response
from consumers.live.api.run_documents import read_question
from consumers.live.api.streams.questions import SINCE_STEP, STEP, wanted_names
from consumers.live.feeds.feed import MAX_MISSED
from consumers.live.feeds.joining import Joining
from consumers.live.feeds.matching import NameMatch
from consumers.live.feeds.rows import Row, text_of
from consumers.live.feeds.series import may_rewrite, row_at
from consumers.live.stream.catch_up import FETCH_RECORDS, FETCH_WAIT_MS
from consumers.live.stream.messages import Message, key_text, to_message
from consumers.live.stream.positions import MAX_TEXT, added_since, parse_positions, write_positions
from consumers.live.stream.tail import Tail
from consumers.log.reader import LogReader
from consumers.log.watermarks import close_quietly
from consumers.store.offsets import CONSUMER
from consumers.store.run_partitions import is_stray
from consumers.store.search.regexes import BadRegex
from schemas.api.series import SeriesDeltas
from schemas.errors import LogGap, LogUnavailable
from schemas.events import Points

READ_S = 30.0  # the longest time to read the log
MAX_BYTES = 16 * 1024 * 1024  # of rows in an answer


class DeltasQuestion(SeriesQuestion):
    """Which points are asked for."""

    since: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)] = Field(
        description="as_of of an earlier answer: what is folded after it"
    )


class _CannotSay(Exception):
    """The log does not tell which points count."""


async def series_deltas(request: Request) -> Response:
    """Return the points folded after `since`, in the order of the log, or `too_old` and why."""
    question = await read_question(request, DeltasQuestion, 400)
    try:
        since = parse_positions(question.since)
    except ValueError as error:
        raise Failure(400, f"parameter since: {error}", SINCE_STEP) from None
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        refuse_unknown(question.runs, await now.series_charts.runs(question.runs))
        repeating = await now.series_charts.repeating(question.runs)
    for partition in since.keys() - folded.keys():
        raise Failure(400, f"parameter since: nothing of partition {partition} is folded", SINCE_STEP)
    since |= dict.fromkeys(added_since(since, folded), 0)
    as_of = {**folded, **{part: max(offset, folded[part]) for part, offset in since.items()}}
    answer = SeriesDeltas(as_of=write_positions(as_of), series=[], too_old=False, reason="")
    rows: list[Row] = []
    try:
        if repeating:
            raise _CannotSay(f"run {repeating[0]:.100} has records that came twice")
        for partition in sorted(part for part, offset in folded.items() if offset and part not in since):
            raise _CannotSay(f"since has no offset of partition {partition}")
        rows = await _rows(connections, question, since, folded)
    except (_CannotSay, LogGap) as error:
        answer.too_old, answer.reason = True, str(error)
    return list_response(answer, "series", [text_of(row) for row in rows], as_of)


async def _rows(
    connections: Connections, question: DeltasQuestion, since: Mapping[int, int], end: Mapping[int, int]
) -> list[Row]:
    """Return the rows between these offsets. Raises _CannotSay, LogGap, LogUnavailable and Failure."""
    match, rows, points = (
        NameMatch(wanted_names(question.names, question.match), connections.names_matching),
        list[Row](),
        0,
    )
    size = 0
    joining = Joining(since)
    async with aclosing(_messages(connections, frozenset(question.runs), since, end)) as messages:
        async for message in messages:
            found = message.envelope.event
            if joining.admit(message) == "repeated":
                continue
            if may_rewrite(found):
                raise _CannotSay(f"run {message.run_id:.100} has {found.kind} at offset {message.offset}")
            if not isinstance(found, Points):
                continue
            if joining.is_new_attempt(message.run_id, found.step_name, found.attempt):
                raise _CannotSay(f"run {message.run_id:.100} has points of several attempts")
            for place, written in enumerate(message.series_names):
                if match.decide(written) is False:
                    continue
                row = row_at(message, found, place)
                points, size = points + row.points, size + len(row.text)
                rows.append(row)
                if points > MAX_POINTS or size > MAX_BYTES:
                    raise _CannotSay(f"there are more than {MAX_POINTS:,} points")
    unknown = {row.of.series for row in rows if match.decide(row.of.series) is None}
    try:
        await match.ask(unknown or {""})
    except BadRegex as error:
        raise Failure(400, f"parameter match.regex: {error}", STEP) from None
    return [row for row in rows if match.decide(row.of.series)]


@asynccontextmanager
async def _answered(tail: Tail) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(READ_S):
            yield
    except TimeoutError:
        raise LogUnavailable(f"Kafka at {tail.bootstrap} did not answer within {READ_S:g} s") from None


async def _messages(
    connections: Connections, runs: frozenset[str], since: Mapping[int, int], end: Mapping[int, int]
) -> AsyncGenerator[Message]:
    """Yield the events of these runs between the offsets."""
    positions = {part: offset for part, offset in since.items() if offset < end[part]}
    missing = sum(end[part] - offset for part, offset in positions.items())
    if missing > MAX_MISSED:
        raise _CannotSay(f"there are {missing:,} records since, more than {MAX_MISSED:,}")
    if not positions:
        return
    tail = connections.tail
    async with _answered(tail), connections.subscribers.catch_ups:
        reader = LogReader(tail.bootstrap, tail.topic, tail.security)
        try:
            await reader.open()
            await reader.assign(positions)
            while any(positions[part] < end[part] for part in positions):
                records = await reader.fetch(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS)
                partitions = await tail.partitions(records)
                for record in records:
                    positions[record.partition] = record.offset + 1
                    run_id = key_text(record)
                    if run_id not in runs or record.offset >= end[record.partition]:
                        continue
                    if not is_stray(run_id, record.partition, partitions) and (message := to_message(record)):
                        yield message
        finally:
            await close_quietly(reader)
