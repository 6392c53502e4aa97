"""The event stream on a real log: nothing is missing, nothing comes twice, and no reader slows down another."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.wire import EncodedRecord, Envelope, encode
from tests.support.live_server import DEADLINE_S, Frames, Live, serving, settings_for, stream, training, until
from tests.support.log_author import Author, producer, write_records
from tests.support.machine import allowed
from tests.support.truncated_log import delete_before

BATCHES = 300


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def positions(events: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return partition and offset of each event."""
    return [(event["partition"], event["offset"]) for event in events]


def steps(events: list[dict[str, Any]]) -> list[int]:
    """Return the steps of all points in order of arrival."""
    return [step for event in events for series in event.get("series", ()) for step, _, _ in series["points"]]


async def emit(live: Live, author: Author, envelopes: int, *, first: int = 0, points: int = 10) -> None:
    """Write metrics of consecutive steps, one envelope at a time, each acknowledged before the next."""
    async with producer(live.settings.kafka) as sender:
        for number in range(first, first + envelopes):
            record = encode(author.metrics("loss", [0.5] * points, first_step=number * points))
            await sender.send_and_wait(
                live.settings.topic, key=record.key, value=record.value, headers=list(record.headers)
            )


async def until_stored(frames: Frames, last_step: int) -> list[dict[str, Any]]:
    """Return the events up to the one that contains `last_step`."""
    events: list[dict[str, Any]] = []
    while not events or steps(events[-1:])[-1:] != [last_step]:
        events.append(await frames.next())
    return events


async def test_an_event_arrives_as_it_was_sent(live: Live) -> None:
    async with stream(live) as frames:
        await live.publish_unfolded([Author("a/b").start(name="n", tag="t")])
        event = await frames.next()

    assert (event["run_id"], event["kind"], event["name"], event["seq"]) == ("a/b", "run_started", "n", 0)
    assert f"{event['partition']}:{event['offset'] + 1}" in frames.last_id.split(",")


async def test_snapshot_and_stream_together_hold_every_point_once_while_it_trains(live: Live) -> None:
    author = Author("run")
    await live.publish([author.start()])
    training = asyncio.create_task(emit(live, author, BATCHES))
    while (page := await live.json("/v1/runs/run/series"))["series"] == []:  # folded under load
        await live.publish([])

    since = f"{page['as_of']['partition']}:{page['as_of']['offset']}"
    async with stream(live, run="run", since=since) as frames:
        events = await until_stored(frames, BATCHES * 10 - 1)
    await training

    seen = [step for step, _, _ in page["series"][0]["points"]] + steps(events)
    assert seen == list(range(BATCHES * 10))


@pytest.mark.parametrize("others", [0, 1_500])
async def test_a_stream_from_the_beginning_is_complete_while_more_is_written(live: Live, others: int) -> None:
    author = Author("run")
    await live.publish_unfolded([author.start(), *(Author(f"other-{number}").start() for number in range(others))])
    await emit(live, author, BATCHES // 2)

    async with stream(live, run="run", since="0:0,1:0") as frames:
        training = asyncio.create_task(emit(live, author, BATCHES // 2, first=BATCHES // 2))
        events = await until_stored(frames, BATCHES * 10 - 1)
        await training

    assert steps(events) == list(range(BATCHES * 10))
    assert {event["run_id"] for event in events} == {"run"}


async def test_a_reconnecting_browser_resumes_where_it_was(live: Live) -> None:
    authors = [Author(f"run-{number}") for number in range(6)]
    await live.publish_unfolded([author.start() for author in authors])
    envelopes = [author.metrics("loss", [1.0]) for _ in range(50) for author in authors]

    seen, _ = await asyncio.gather(read_in_pieces(live, 306), live.publish_unfolded(envelopes))

    assert len(set(positions(seen))) == 306
    for partition in (0, 1):
        offsets = [offset for found, offset in positions(seen) if found == partition]
        assert offsets == list(range(len(offsets)))


async def read_in_pieces(live: Live, wanted: int) -> list[dict[str, Any]]:
    """Return the first events of the log over many connections, each of which resumes where the last one ended."""
    seen: list[dict[str, Any]] = []
    position: str | None = None
    while len(seen) < wanted:
        parameters = {} if position else {"since": "0:0,1:0"}
        async with stream(live, last_event_id=position, **parameters) as frames:
            seen += await frames.take(min(37, wanted - len(seen)))
            position = frames.last_id
    return seen


async def test_the_first_frame_already_has_the_position_to_resume_from(live: Live) -> None:
    await live.publish_unfolded([Author("before").start()])
    await until(lambda: tail_passed(live, 1), "the tail is past what was written before")
    async with live.http.stream("GET", "/v1/stream") as answer:
        lines = answer.aiter_lines()
        head = [await anext(lines), await anext(lines), await anext(lines)]
    position = head[1].removeprefix("id: ")
    await live.publish_unfolded([Author("while away").start()])

    async with stream(live, last_event_id=position) as frames:
        event = await frames.next()

    assert (head[0], head[2]) == ("retry: 1000", "")
    assert event["run_id"] == "while away"


async def tail_passed(live: Live, records: int) -> bool:
    return sum(live.server.connections.tail.positions.values()) == records


async def test_only_events_of_the_requested_run_arrive(live: Live) -> None:
    async with stream(live, run="wanted") as frames:
        await live.publish_unfolded([Author("other").start(), Author("wanted").start(), Author("wanted ").start()])
        await live.publish_unfolded([Author("wanted", "p2").start()])
        events = await frames.take(2)

    assert [(event["run_id"], event["producer"]) for event in events] == [("wanted", "p1"), ("wanted", "p2")]


async def test_records_that_are_not_events_are_skipped(live: Live) -> None:
    good, late = encode(Author("run").start()), encode(Author("run", "p2").start())
    broken = [
        EncodedRecord(b"run", b"not json", ()),
        EncodedRecord(b"\xff", good.value, good.headers),
        EncodedRecord(good.key, b"", good.headers),
        EncodedRecord(
            good.key,
            good.value,
            [("schema", b"99") if name == "schema" else (name, text) for name, text in good.headers],
        ),
    ]
    async with stream(live) as frames:
        await write_records(live.settings.kafka, live.settings.topic, [good, *broken, late])
        events = await frames.take(2)

    assert [event["producer"] for event in events] == ["p1", "p2"]


async def test_values_that_json_cannot_represent_arrive_as_strings(live: Live) -> None:
    async with stream(live) as frames:
        await live.publish_unfolded([Author("run").metrics("loss", [float("nan"), float("inf"), float("-inf")])])
        event = await frames.next()

    assert [value for _, _, value in event["series"][0]["points"]] == ["NaN", "Infinity", "-Infinity"]


async def test_the_brief_stream_sends_one_point_per_series(live: Live) -> None:
    async with stream(live, points="last") as frames:
        await live.publish_unfolded([Author("run").metrics("loss", [3.0, 2.0, 1.0])])
        event = await frames.next()

    assert (event["series"][0]["count"], [value for _, _, value in event["series"][0]["points"]]) == (3, [1.0])


async def test_a_browser_that_does_not_read_is_dropped_and_slows_no_other(live: Live) -> None:
    author = Author("run")
    envelopes: list[Envelope] = [
        author.metrics("loss", [0.123456789] * 1_000, first_step=n * 1_000) for n in range(400)
    ]
    with socket.create_connection((live.settings.live_host, live.settings.live_port)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: subscribers(live, 1), "the slow one listens")
        async with stream(live, run="run") as frames:
            await until(lambda: subscribers(live, 2), "the fast one listens")
            writing = asyncio.create_task(live.publish_unfolded(envelopes))
            events = await until_stored(frames, 399_999)
            await writing
            states = {one.state for one in live.server.connections.subscribers._every if one.run_ids is None}

    assert steps(events) == list(range(400_000))
    assert states <= {"overrun"}  # or already removed


async def test_streams_catch_up_in_turns(live: Live) -> None:
    turns = live.server.connections.subscribers.catch_ups = asyncio.Semaphore(1)
    await live.publish_unfolded(training("run"))
    await turns.acquire()  # as another stream that catches up does
    async with stream(live, run="run", since="0:0,1:0") as one, stream(live, run="run", since="0:0,1:0") as other:
        await until(lambda: subscribers(live, 2), "both count")
        turns.release()
        events = [await frames.take(4) for frames in (one, other)]

    assert [[event["seq"] for event in found] for found in events] == [[0, 1, 2, 3]] * 2


async def subscribers(live: Live, count: int) -> bool:
    return len(live.server.connections.subscribers) == count


async def test_a_browser_that_leaves_is_forgotten(live: Live) -> None:
    async with stream(live):
        await until(lambda: subscribers(live, 1), "it is heard")

    await until(lambda: subscribers(live, 0), "it is forgotten")


async def test_the_server_stops_at_once_though_streams_are_open(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:
        async with stream(live) as one, stream(live, run="x", since="0:0") as other:
            started = time.monotonic()
            live.server.should_exit = True
            for frames in (one, other):
                with pytest.raises(EOFError):
                    await frames.next()
        await until(lambda: stopped(live), "the port is free")

    assert time.monotonic() - started < allowed(3)


async def stopped(live: Live) -> bool:
    try:
        _, writer = await asyncio.open_connection(live.settings.live_host, live.settings.live_port)
    except OSError:
        return True
    writer.close()
    return False


async def test_an_offset_that_the_log_no_longer_holds_is_reported(live: Live) -> None:
    await live.publish_unfolded([Author("run").start() for _ in range(10)])
    await delete_records(live, 5)

    answer = await live.get("/v1/stream", since="0:0,1:0")

    assert answer.status_code == 410
    assert "as_of" in json.loads(answer.text)["next"]


async def delete_records(live: Live, before: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        (partition,) = [part for part, end in (await live.server.connections.bounds.ask()).end.items() if end >= before]
        await delete_before(live.settings.kafka, live.settings.topic, {partition: before})
