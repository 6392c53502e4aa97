"""Queues of slow and fast subscribers."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from consumers.live.stream.messages import Message
from consumers.live.stream.subscribers import MAX_SUBSCRIBERS, Subscriber, Subscribers
from schemas import events as ev
from tests.support.log_author import Author

BATCH = Author("run").envelope(ev.Heartbeat(time=1))


def message(offset: int, *, size: int = 10, partition: int = 0) -> Message:
    return Message(BATCH, partition, offset, size)


def subscriber(run_id: str | None = None, *, max_bytes: int = 1_000, max_messages: int = 100) -> Subscriber:
    return Subscriber(run_id, frozenset({0}), max_bytes=max_bytes, max_messages=max_messages)


async def test_what_was_offered_is_taken_in_order() -> None:
    one = subscriber()
    for offset in range(3):
        one.offer(message(offset))

    assert [found.offset for found in await one.take(0)] == [0, 1, 2]


async def test_a_taker_wakes_at_the_first_message() -> None:
    one = subscriber()
    taking = asyncio.create_task(one.take(30))
    await asyncio.sleep(0)
    one.offer(message(7))

    assert [found.offset for found in await taking] == [7]


async def test_nothing_offered_is_nothing_taken_when_time_is_up() -> None:
    assert await subscriber().take(0.001) == []


async def test_a_full_queue_ends_the_stream_and_holds_nothing() -> None:
    one = subscriber(max_bytes=25)
    for offset in range(3):
        one.offer(message(offset))

    assert (one.state, await one.take(0)) == ("overrun", [])


async def test_after_an_overrun_nothing_is_queued_any_more() -> None:
    one = subscriber(max_messages=1)
    for offset in range(3):
        one.offer(message(offset))

    assert await one.take(0) == []


async def test_one_message_larger_than_the_queue_still_passes() -> None:
    one = subscriber(max_bytes=5)
    one.offer(message(1, size=500))

    assert (one.state, len(await one.take(0))) == ("open", 1)


async def test_closing_wakes_the_taker() -> None:
    one = subscriber()
    taking = asyncio.create_task(one.take(30))
    await asyncio.sleep(0)
    one.close()

    assert (await taking, one.state) == ([], "closed")


async def test_only_subscribers_that_want_an_event_get_it_and_it_is_made_once() -> None:
    everyone, wanted, other = subscriber(), subscriber("run"), subscriber("other")
    all_of_them = Subscribers()
    for one in (everyone, wanted, other):
        all_of_them.add(one)
    made: list[int] = []

    def make() -> Message:
        made.append(1)
        return message(1)

    all_of_them.publish("run", 0, make)

    assert [len(await one.take(0)) for one in (everyone, wanted, other)] == [1, 1, 0]
    assert len(made) == 1


async def test_an_event_that_no_subscriber_wants_is_never_made() -> None:
    all_of_them = Subscribers()
    all_of_them.add(subscriber("other"))

    def make() -> Message:
        raise AssertionError("made for no subscriber")

    all_of_them.publish("run", 0, make)
    all_of_them.publish("other", 1, make)  # from a partition that the stream does not read


@given(sizes=st.lists(st.integers(0, 400), max_size=60))
def test_a_queue_never_holds_more_than_its_bound(sizes: list[int]) -> None:
    one = subscriber(max_bytes=1_000, max_messages=20)
    for offset, size in enumerate(sizes):
        one.offer(message(offset, size=size))
    held = asyncio.run(one.take(0))

    assert len(held) <= 20
    assert sum(found.size for found in held) <= 1_000
    assert (one.state == "open") == (len(held) == len(sizes))


async def test_streams_that_catch_up_count_as_well() -> None:
    subscribers = Subscribers()
    streams = [subscriber() for _ in range(MAX_SUBSCRIBERS)]

    assert all(subscribers.enter(one) for one in streams)
    assert (len(subscribers), subscribers.is_full, subscribers.enter(subscriber())) == (MAX_SUBSCRIBERS, True, False)

    subscribers.add(streams[0])  # it has caught up
    assert len(subscribers) == MAX_SUBSCRIBERS
    subscribers.leave(streams[1])
    assert subscribers.enter(subscriber())
    subscribers.close()
    assert streams[2].state == "closed"
