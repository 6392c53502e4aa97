"""
`GET /v1/stream`: events as they happen, as server-sent events.

The `data` of each frame is one event (consumers/live/stream/messages.py), its `id` is the position to resume from. A
stream that starts at `since`, or at the Last-Event-ID that a browser sends when it reconnects, delivers every event
from there on exactly once. Without either it starts at the end of the log. Order is kept within a run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import Header, Query, Request

from consumers.live.api.access.limited import Visible
from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.streams.opening import refuse_full
from consumers.live.api.streams.sending import STALLED_S, EventStream
from consumers.live.feeds.reader import HEARTBEAT_S, RETRY_MS
from consumers.live.stream.catch_up import catch_up
from consumers.live.stream.messages import HEARTBEAT, Detail, frame, frames, mark
from consumers.live.stream.positions import MAX_TEXT, parse_positions, write_positions
from consumers.live.stream.subscribers import Subscriber
from schemas.errors import LogDamaged, LogGap, LogUnavailable, StoreUnavailable


async def stream(
    request: Request,
    run: Annotated[str | None, Query(max_length=10_000)] = None,
    since: Annotated[str | None, Query(max_length=MAX_TEXT)] = None,
    points: Literal["all", "last"] = "all",
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStream:
    """
    Follow the log: all runs, or one (`run`), from `since` (partition:offset[,partition:offset...]) or from now.

    `since` also selects the partitions to read; without it they are all, also those that the topic gets later.
    `points=last` keeps only the last point of each series in an event.
    """
    connections = connections_of(request)
    refuse_full(connections.subscribers)
    positions = await _start(connections, last_event_id or since, "Last-Event-ID" if last_event_id else "since")
    reads_all = since is None or positions.keys() >= connections.tail.positions.keys()
    if reads_all and (new := connections.tail.positions.keys() - positions.keys()):  # added since a browser's last id
        first = (await connections.bounds.ask()).first
        positions.update({partition: first[partition] for partition in new})
    subscriber = Subscriber(run, frozenset(positions), reads_all=reads_all)

    def stalled() -> None:
        connections.subscribers.overruns += subscriber.state == "open"

    frames = _frames(connections, subscriber, positions, points, Visible(request))
    return EventStream(frames, stalled, stalled_s=STALLED_S)


async def _start(connections: Connections, text: str | None, parameter: str) -> dict[int, int]:
    """Return the positions to start from; refuses what the log cannot serve while a status code can still say so."""
    now = connections.tail.positions
    if not now:
        raise LogUnavailable(connections.tail.problem)
    if text is None:
        return dict(now)
    try:
        positions = parse_positions(text)
    except ValueError as error:
        raise bad_parameter(parameter, str(error), "pass the as_of of an answer, or the id of an event") from None
    for partition in positions:
        if partition not in now:
            raise bad_parameter(parameter, f"the log has no partition {partition}", f"it has 0 to {len(now) - 1}")
    if positions != {partition: now[partition] for partition in positions}:
        first, end = await connections.bounds.ask()
        _refuse_outside(positions, first, end, parameter)
    return positions


def _refuse_outside(
    positions: Mapping[int, int], first: Mapping[int, int], end: Mapping[int, int], parameter: str
) -> None:
    for partition, offset in positions.items():
        if offset < first[partition]:
            raise LogGap(f"partition {partition} of the log starts at offset {first[partition]}, after {offset}")
        if offset > end[partition]:
            raise bad_parameter(
                parameter,
                f"partition {partition} of the log ends at offset {end[partition]}, before {offset}",
                "read the run's series again and follow the stream from its new as_of",
            )


async def _frames(
    connections: Connections, subscriber: Subscriber, positions: dict[int, int], detail: Detail, visible: Visible
) -> AsyncGenerator[bytes]:
    if not connections.subscribers.enter(subscriber):
        return  # others were faster; the browser asks again, and gets the error then
    try:
        yield mark(write_positions(positions), retry_ms=RETRY_MS)
        async with aclosing(catch_up(connections.tail, connections.subscribers, subscriber, positions)) as missed:
            async for message in missed:
                at = write_positions(positions)
                shown = [] if message is None else await visible.of([message])
                yield frame(shown[0].text(detail), at) if shown else HEARTBEAT + mark(at)
                if connections.closing:
                    return
        while True:
            messages = await subscriber.take(HEARTBEAT_S)
            if subscriber.state != "open":
                return
            if shown := await visible.of(messages):
                for chunk in frames(shown, positions, detail):
                    yield chunk
            elif not messages:
                # The queue is empty up to the current position of the tail: there is no await between the two.
                for part, offset in connections.tail.positions.items():
                    if subscriber.reads_all or part in positions:
                        positions[part] = max(positions.get(part, 0), offset)
                yield HEARTBEAT + mark(write_positions(positions))
    except (LogUnavailable, LogGap, LogDamaged, StoreUnavailable, Failure):
        return  # the status is sent already; the browser reconnects from its last position and gets the error then
    finally:
        connections.subscribers.remove(subscriber)
        connections.subscribers.leave(subscriber)
