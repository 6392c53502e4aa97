"""
The Faust app: the only file that depends on Faust.

Faust delivers the records and manages group membership and rebalances. It is not the source of truth: its
acknowledgements can run ahead of work in flight, and `take` acknowledges a batch even when the body failed. So at the
start and at every rebalance reading begins at the offsets that PostgreSQL keeps; Kafka's committed offsets only show
lag to Kafka tools. A seek in `on_partitions_assigned` would be overwritten by Faust's own seek, so the seek itself is
replaced (`_Reader`). The agent's body never raises: an error that the worker cannot handle ends the process, and the
supervisor starts it again.

While PostgreSQL is away or slow, reading pauses and the member stays in its group. For this the fetching is replaced
too: Faust would block on a full buffer (counted in records, whatever their size), stop polling, and be removed from the
group.

A broker answers a fetch as soon as it has one record. With many producers that means one fetch per record, which costs
as much CPU as folding it. So while many arrive, the broker is asked to wait a little for more of them, and a
transaction waits for more, too. Few are folded at once (`pace.py`): somebody may wait to read them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import faust
from faust.tables import TableManager
from faust.transport.drivers import aiokafka as driver

from consumers.log.reader import READ_AGAIN_S, check_length
from consumers.log.record import Record
from consumers.log.record_parser import read_any_header_name
from consumers.log.security import security_arguments
from consumers.materialiser.gaps import READER, check_start
from consumers.materialiser.pace import Arrivals, FullBatch
from consumers.store.offsets import CONSUMER
from schemas.errors import LogDamaged, LogShorter

if TYPE_CHECKING:
    from consumers.log.watermarks import Bounds
    from consumers.materialiser.backpressure import ReadAhead
    from consumers.materialiser.worker import Worker
    from schemas.runtime.settings import Settings

PAUSE_S = 0.1  # between two checks whether reading may resume
WATCH_S = 0.5  # between two checks whether Faust is alive
NEVER_S = 7 * 86_400.0
METADATA_AGE_MS = 10_000  # after which new partitions of the topic are noticed and assigned
UNBOUNDED = 1_000_000_000
# While many records arrive, a broker holds a fetch for half of batch_wait_ms until it has this many bytes; otherwise it
# waits for the next record.
BUSY_FETCH_BYTES = 65_536
IDLE_FETCH_MS, IDLE_FETCH_BYTES = 1_500, 1

log = logging.getLogger(__name__)
Stop = Callable[[BaseException], None]


class ReaderHooks(NamedTuple):
    """What `build_app` needs in addition to settings and worker."""

    read_ahead: ReadAhead  # records that are read and not applied
    must_pause: Callable[[], bool]  # asked before each fetch, from the thread that reads
    bounds: Callable[[], Awaitable[Bounds]]  # of the log; waits while Kafka is away
    stop: Stop  # called with any error that the worker cannot handle; must end the process
    ready: Callable[[], None]  # called once partitions are assigned and reading has begun
    damaged: Callable[[str], None]  # called with what of the log cannot be read; "" once all of it can


class _Feed(NamedTuple):
    """What `_Reader` reads, and for which worker."""

    topic: str
    worker: Worker
    hooks: ReaderHooks
    wait_ms: int  # for more records, in the broker


class _App(faust.App):  # type: ignore[misc]  # faust has no types here
    def _create_directories(self) -> None:
        """Create none: Faust's are for tables, and would be left empty in whatever folder the process started in."""


class _NoTables(TableManager):  # type: ignore[misc]
    async def on_start(self) -> None:
        """Start without waiting for the second in which a program may still declare tables."""
        await self._update_channels()
        await self.recovery.start()


def build_app(settings: Settings, worker: Worker, hooks: ReaderHooks) -> faust.App:
    """Return the app that feeds `worker`."""
    read_any_header_name()
    wait_ms = (settings.batch_wait_ms + 1) // 2  # once here and once in the broker
    app = _App(
        f"{CONSUMER}.{settings.topic}",  # the consumer group: a static member keeps its assignment, so one per topic
        **_options(settings),
    )
    app.transport.Consumer = _consumer_class(_Feed(settings.topic, worker, hooks, wait_ms))
    topic = app.topic(settings.topic, key_type=bytes, value_type=bytes, internal=False)

    full = FullBatch(settings.batch_records, lambda: hooks.read_ahead.records)

    async def materialise(stream: Any) -> None:
        async for events in stream.take_events(full, within=wait_ms / 1000):
            records = [_record(event.message) for event in events]
            full.begin()
            try:
                await worker.apply(records)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001  # Faust would acknowledge the batch and continue
                hooks.stop(error)
            for record in records:
                hooks.read_ahead.release(record.partition, record.offset + 1)
            full.end(worker.written_series, worker.written_points)

    app.agent(topic, concurrency=1)(materialise)
    return app


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "broker": [f"kafka://{server}" for server in settings.need("kafka").split(",")],
        "broker_credentials": _credentials(settings),
        "topic_disable_leader": True,
        "web_enabled": False,
        "stream_wait_empty": False,  # otherwise SIGTERM with a batch in flight never ends the process
        "stream_buffer_maxsize": UNBOUNDED,  # `read_ahead` bounds it, in bytes
        "broker_max_poll_records": settings.batch_records,
        "broker_commit_interval": 10.0,  # only for the display of lag
        "broker_max_poll_interval": NEVER_S,  # a worker that hangs shows in its health probe, not in its group
        "broker_session_timeout": settings.session_timeout_ms / 1000,
        "broker_heartbeat_interval": settings.session_timeout_ms / 4000,  # three may be lost
        "consumer_group_instance_id": f"{CONSUMER}-{settings.worker}",  # a restart takes its assignment without waiting
        "consumer_auto_offset_reset": "earliest",  # the worker sees a gap that this makes, and ends the process
        "consumer_max_fetch_size": 8 * 1024 * 1024,
        "consumer_metadata_max_age_ms": METADATA_AGE_MS,
        "store": "memory://",
        "TableManager": _NoTables,
        "value_serializer": "raw",
        "key_serializer": "raw",
    }


def _credentials(settings: Settings) -> faust.Credentials | None:
    """Return the result of security_arguments() in Faust's form; None for a plain connection."""
    found = security_arguments(settings)
    if settings.kafka_security.startswith("SASL"):
        return faust.SASLCredentials(
            username=found["sasl_plain_username"],
            password=found["sasl_plain_password"],
            mechanism=found["sasl_mechanism"],
            ssl_context=found.get("ssl_context"),
        )
    return faust.SSLCredentials(found["ssl_context"]) if "ssl_context" in found else None


def _record(message: Any) -> Record:
    headers = message.headers or ()
    items = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple(items),
        round((message.timestamp or 0) * 1000),
    )


def _consumer_class(feed: _Feed) -> type:
    class _Consumer(driver.Consumer):  # type: ignore[misc]  # faust has no types here
        def _new_consumer_thread(self) -> _Reader:
            reader = _Reader(self, loop=self.loop, beacon=self.beacon)
            reader.feed, reader.fetched = feed, {}
            self.reader = reader
            return reader

    return _Consumer


class _Reader(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    feed: _Feed
    shorter: LogShorter | None = None  # the log is not the one that was read
    fetched: dict[Any, int]  # next offset to fetch by topic and partition; another object after every seek

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fetched = {}
        self._sought: Any = None  # the assignment in which the last seek was
        self._damaged: dict[Any, LogDamaged] = {}  # partitions of which a batch cannot be read
        self._arrivals = Arrivals()
        self._read_again = 0.0  # when they are tried again, monotonic s

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Seek to the store's offsets instead of Kafka's. Runs in the app's loop, at the start and every rebalance."""
        topic, worker, hooks, _ = self.feed
        assigned = _assignment(self._ensure_consumer())
        mine = [tp for tp in self.assignment() if tp.topic == topic]
        try:
            offsets = await worker.assign([tp.partition for tp in mine])
            if mine:  # not asked on the consumer's connection, where a fetch waits for new records
                bounds = await hooks.bounds()
                check_start(topic, offsets, bounds.first)
                check_length(topic, offsets, bounds.end, READER)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # without the store's offsets reading would start in the wrong place
            hooks.stop(error)
            raise
        hooks.read_ahead.clear()
        self.fetched = {}
        seeks = {tp: offsets[tp.partition] for tp in mine}
        self._damaged = {}
        if seeks:
            await self.seek_wait(seeks)
        self.fetched, self._sought = dict(seeks), assigned
        hooks.ready()
        return seeks

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Mapping[Any, Any]:
        """Fetch records, or stay paused and return none. Runs in the thread of the consumer."""
        read_ahead = self.feed.hooks.read_ahead
        mine = consumer.assignment()
        if self.shorter is not None and not read_ahead.bytes:
            raise self.shorter  # all records before it are applied
        if self.shorter is not None or self.feed.hooks.must_pause() or read_ahead.is_full:
            consumer.pause(*mine)
            await asyncio.sleep(PAUSE_S)
            return {}
        consumer.resume(*consumer.paused())
        if self._damaged and time.monotonic() < self._read_again:
            consumer.pause(*(mine & self._damaged.keys()))
        elif self._damaged:
            self._read_again = time.monotonic() + READ_AGAIN_S
        fetched = self.fetched
        try:
            found: Mapping[Any, Any] = await super()._fetch_records(consumer, *args, **options)
            # Between a rebalance and its seek, aiokafka reads from the offsets that are committed to Kafka.
            if fetched is self.fetched and self._sought is _assignment(consumer):
                _check_order(fetched, found)
        except LogDamaged as error:
            self._set_aside(consumer, error)
            return {}
        except LogShorter as error:
            self.shorter = error
            return {}
        if repaired := self._damaged.keys() & found.keys():
            self._damaged = {tp: error for tp, error in self._damaged.items() if tp not in repaired}
            self.feed.hooks.damaged("; ".join(map(str, self._damaged.values())))
        is_busy = self._arrivals.are_many(sum(map(len, found.values())))
        fetcher = consumer._fetcher
        fetcher._fetch_max_wait_ms = self.feed.wait_ms if is_busy else IDLE_FETCH_MS
        fetcher._fetch_min_bytes = BUSY_FETCH_BYTES if is_busy else IDLE_FETCH_BYTES
        for tp, records in found.items():
            for record in records:
                size = len(record.key or b"") + len(record.value or b"")
                read_ahead.add(tp.partition, record.offset, size)
        return found

    def _set_aside(self, consumer: Any, error: LogDamaged) -> None:
        """Leave a partition that cannot be read; records of others, read in the same fetch, are fetched again."""
        for tp in consumer.assignment() & self.fetched.keys():
            consumer.seek(tp, self.fetched[tp])
            if tp.topic == self.feed.topic and tp.partition == error.partition:
                self._damaged = {**self._damaged, tp: error}
        self._read_again = time.monotonic() + READ_AGAIN_S
        self.feed.hooks.damaged("; ".join(map(str, self._damaged.values())))


def _assignment(consumer: Any) -> Any:
    """Return what stands for the present assignment of a consumer: another object after each rebalance."""
    subscription = consumer._subscription.subscription
    return None if subscription is None else subscription.assignment


def _check_order(fetched: dict[Any, int], found: Mapping[Any, Any]) -> None:
    """
    Raise LogShorter when a partition begins again: aiokafka does that when its position lies beyond the end.

    It is noticed even if the log is as long as before by the time anything asks for its end.
    """
    for tp, records in found.items():
        if records and records[0].offset < (expected := fetched.get(tp, 0)):
            check_length(tp.topic, {tp.partition: expected}, {tp.partition: records[0].offset}, READER)
        if records:
            fetched[tp] = records[-1].offset + 1


def request_rejoin(app: faust.App) -> None:
    """
    Let this member join its group again, with which the leader of the group starts a new assignment of partitions.

    Kafka gives a static member that restarts its old assignment, and a leader that has restarted sees no change in the
    number of partitions: without this, partitions that were added meanwhile would never be assigned.
    """
    reader = app.consumer.reader
    reader.thread_loop.call_soon_threadsafe(reader._ensure_consumer()._coordinator.request_rejoin)


def exit_now(code: int) -> None:
    """End the process at once, without Faust's own shutdown, which can hang: the truth is in PostgreSQL."""
    logging.shutdown()
    os._exit(code)


def restart_process() -> None:
    """
    Replace the process by a fresh one with the same process id, which waits until Kafka is reachable.

    For outages that end Faust: half started or crashed, it cannot be stopped reliably, and a supervisor that counted
    these ends as deaths would give up on a worker that only has to wait.
    """
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


async def wait_for_crash(app: faust.App) -> BaseException:
    """Return the reason once the app has ended by itself: it then reads nothing, and nothing else would notice."""
    while not app.should_stop:  # noqa: ASYNC110  # Faust has no event for it that a crash in its thread sets
        await asyncio.sleep(WATCH_S)
    reason = app.crash_reason
    return reason if reason is not None else RuntimeError("Faust stopped by itself")
