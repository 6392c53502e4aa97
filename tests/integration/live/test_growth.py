"""The event stream while the topic gets more partitions, and while a run has records in two of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.log import reader
from schemas.wire import Envelope, encode
from tests.support import services
from tests.support.live_server import Live, fold, serving, settings_for, stream, until
from tests.support.log_author import Author, producer


@pytest.fixture
async def live(
    kafka: str, topic: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Live]:
    monkeypatch.setattr(reader, "METADATA_AGE_MS", 200)
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


async def write_to(live: Live, *placed: tuple[int, Envelope]) -> None:
    """Write envelopes to chosen partitions, one after the other."""
    async with producer(live.settings.kafka) as sender:
        for partition, envelope in placed:
            record = encode(envelope)
            await sender.send_and_wait(
                live.settings.topic, record.value, record.key, partition=partition, headers=list(record.headers)
            )


async def test_a_stream_sends_the_copy_of_a_stray_and_not_the_stray(live: Live) -> None:
    author = Author("run")
    await live.publish([author.start()])
    page = await live.json("/v1/runs/run/series")
    home = page["as_of"]["partition"]
    moved, last = author.metrics("loss", [1.0]), author.metrics("loss", [2.0], first_step=1)

    async with stream(live) as everything, stream(live, run="run", since=f"{home}:{page['as_of']['offset']}") as one:
        await write_to(live, (1 - home, moved), (home, moved), (home, last))
        all_events = [await everything.next() for _ in range(2)]
        events = [await one.next() for _ in range(2)]

    assert [(event["partition"], event["seq"]) for event in events] == [(home, 1), (home, 2)]
    assert all_events == events


async def test_a_stream_that_catches_up_leaves_strays_out_too(live: Live) -> None:
    author = Author("run")
    await live.publish([author.start()])
    home = (await live.json("/v1/runs/run/series"))["as_of"]["partition"]
    moved, last = author.metrics("loss", [1.0]), author.metrics("loss", [2.0], first_step=1)
    await write_to(live, (1 - home, moved), (home, moved), (home, last))

    async with stream(live, since="0:0,1:0") as frames:
        events = [await frames.next() for _ in range(3)]

    assert [(event["partition"], event["seq"]) for event in events] == [(home, 0), (home, 1), (home, 2)]


async def test_an_open_stream_sends_events_of_a_partition_that_the_topic_got_later(live: Live) -> None:
    async with stream(live) as frames:
        await write_to(live, (0, Author("before").start()))
        first = await frames.next()
        await services.add_partitions(live.settings.kafka, live.settings.topic, 3)
        await write_to(live, (2, Author("after").start()))
        second = await frames.next()

    assert (first["run_id"], second["run_id"], second["partition"]) == ("before", "after", 2)
    assert frames.last_id.split(",")[-1] == "2:1"


async def test_a_browser_that_reconnects_reads_the_new_partitions_from_their_beginning(live: Live) -> None:
    await services.add_partitions(live.settings.kafka, live.settings.topic, 3)
    await write_to(live, (2, Author("after").start()))

    async def has_noticed() -> bool:
        return 2 in live.server.connections.tail.positions

    await until(has_noticed, "the tail reads the new partition")
    async with stream(live, last_event_id="0:0,1:0") as frames:
        event = await frames.next()

    assert (event["run_id"], event["partition"], event["offset"]) == ("after", 2, 0)


async def test_topics_and_deltas_that_go_on_have_what_a_new_partition_got_meanwhile(live: Live) -> None:
    author = Author("after")
    await services.add_partitions(live.settings.kafka, live.settings.topic, 3)
    await write_to(live, (2, author.start()), (2, author.metrics("loss", [1.0])))
    await fold(live.settings)

    async def has_read() -> bool:
        return live.server.connections.tail.positions.get(2) == 2

    await until(has_read, "the tail has read the new partition")
    body = {"runs": {}, "series": {"runs": ["after"]}, "since": "0:0,1:0"}
    names = list[str]()
    async with live.http.stream("POST", "/v1/stream", json=body) as answer:
        async for line in answer.aiter_lines():
            names += [line.split()[1]] if line.startswith("event: ") and "alive" not in line else []
            if len(names) == 2:
                break
    deltas = await live.http.post("/v1/series/deltas", json={"runs": ["after"], "since": "0:0,1:0"})

    assert sorted(names) == ["runs", "series"]
    assert [row["columns"]["values"] for row in deltas.json()["series"]] == [[1.0]]
