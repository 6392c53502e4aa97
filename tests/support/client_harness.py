"""Run the client with a transport in memory, or read back what it wrote to Kafka."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway.client.address import Address
from gateway.client.agent.follower import AgentShipper
from gateway.client.encoding.wire import Record, encode_text, source_of
from gateway.client.errors import Unsent
from gateway.client.journal.journal import Journal
from gateway.client.run.run import Run
from gateway.client.shipping.batching import encode_events, take_slice
from gateway.client.shipping.shipper import Shipper
from gateway.client.transports.transport import Refusal
from schemas import events as ev
from schemas.wire import Envelope, decode, decode_run
from tests.support.services import run as run_now

RUN = "run-1"
DEADLINE_S = 90.0
ROOT = Path(__file__).parents[2]


class Memory:
    """A transport that keeps the records it is sent, and can be made to fail."""

    def __init__(self) -> None:
        self.sent: list[Record] = []  # acknowledged or not, as in a log
        self.failures = 0  # number of sends that fail from now on
        self.keeps_failed = True  # the records of a failing send reach the log anyway
        self.opened = 0
        self.is_held = False  # sends wait while it is set

    async def open(self) -> None:
        self.opened += 1

    async def send(self, records: Sequence[Record]) -> Sequence[Refusal] | None:
        while self.is_held:  # noqa: ASYNC110 - the thread of the test sets it
            await asyncio.sleep(0.005)
        if self.failures:
            self.failures -= 1
            if self.keeps_failed:
                self.sent += records
            raise Unsent("made to fail")
        self.sent += records
        return None

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def envelopes(self) -> list[Envelope]:
        """Return the envelopes that were sent, decoded, each identity once."""
        found: dict[tuple[str, str, int], Envelope] = {}
        for record in list(self.sent):
            envelope = decode_run(record.key, record.value, record.headers)
            found.setdefault((envelope.run_id, envelope.producer, envelope.seq), envelope)
        return list(found.values())

    def events(self) -> list[Any]:
        """Return the events that were sent, each once."""
        return [envelope.event for envelope in self.envelopes()]

    def kinds(self) -> list[str]:
        """Return the kinds of the events that were sent."""
        return [event.kind for event in self.events()]


@contextmanager
def shipping(memory: Memory) -> Iterator[Shipper]:
    """Yield a shipper that sends to the transport in memory."""
    shipper = Shipper(Address("kafka://memory:1", "t"), lambda _: memory)
    try:
        yield shipper
    finally:
        shipper.stop()


def new_run(shipper: Shipper | AgentShipper, run_id: str = RUN, *, attempt: int = 1, is_owner: bool = True) -> Run:
    """Return a run as start_run() builds it, without making it the current run."""
    return Run(
        run_id, "name", attempt=attempt, is_owner=is_owner, find_shipper=lambda: shipper, on_finish=lambda _: None
    )


def journaled(run_id: str = RUN) -> tuple[Run, Callable[[], tuple[list[Envelope], list[int]]]]:
    """
    Return a run without a shipper, and a function that cuts what it recorded as a shipper does.

    The function returns the envelopes, decoded with the contract, and the sizes of the records' values.
    """

    def no_shipper() -> Shipper:
        raise RuntimeError("no thread is started")

    run = Run(run_id, "name", attempt=1, is_owner=True, find_shipper=no_shipper, on_finish=lambda _: None)

    def read() -> tuple[list[Envelope], list[int]]:
        records = [record for journal, _ in run.recorder.journals() for record in _cut(journal)]
        return [decode_run(one.key, one.value, one.headers) for one in records], [len(one.value) for one in records]

    return run, read


def _cut(journal: Journal) -> Iterator[Record]:
    source, seq = source_of(RUN, journal.producer or "p"), 0
    last, end = journal.tail()
    for number, segment in sorted(journal.segments.items()):
        stop = end if number == last else segment.end
        offset = segment.first
        while offset < stop:
            piece = take_slice(segment, offset, stop, is_trusted=True)
            offset = piece.end
            for event in encode_events(segment, piece):
                text = event.text
                if event.kind == "producer_closed":  # the producer adds its counts
                    text = text[:-1] + b',"batches":1,"points":0}'
                yield encode_text(RUN, source, seq, 1, event.kind, text)
                seq += 1


class LoggedPoint(NamedTuple):
    """A point or value as a reader of the log sees it."""

    name: str
    step: int
    time: int  # µs
    value: Any


@contextmanager
def training(run: Run) -> Iterator[list[int]]:
    """Emit in a thread, as a training loop does, until the block ends; yield the list of the steps so far."""
    steps: list[int] = []
    ends = threading.Event()

    def loop() -> None:
        while not ends.wait(0.0005):
            run.emit("loss", 1 / (len(steps) + 1), len(steps))
            steps.append(len(steps))

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield steps
    finally:
        ends.set()
        thread.join()


def points(events: Sequence[Any]) -> list[LoggedPoint]:
    """Return the metric points in the order of the log."""
    return [
        LoggedPoint(series.name, step, time, value)
        for event in events
        if isinstance(event, ev.Points)
        for series in event.series
        for step, time, value in zip(series.steps, series.times, series.values, strict=True)
    ]


def values(events: Sequence[Any]) -> list[LoggedPoint]:
    """Return the values that are not points, in the order of the log."""
    return [
        LoggedPoint(one.name, one.step, one.time, one.value.value)
        for event in events
        if isinstance(event, ev.Values)
        for one in event.values
    ]


def wait_for(condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
    """Return when the condition holds; fail the test at the deadline."""
    deadline = monotonic() + timeout_s
    while not condition():
        assert monotonic() < deadline, "the condition did not hold in time"
        sleep(0.01)


def raw_log(bootstrap: str, topic: str) -> list[Record]:
    """Return every record of a topic as bytes, partition by partition."""
    return run_now(_raw_log(bootstrap, topic))


def read_log(bootstrap: str, topic: str) -> list[Envelope]:
    """Return every envelope about runs of a topic, decoded, duplicates included: others may use a stack's log, too."""
    found = [decode(record.key, record.value, record.headers) for record in raw_log(bootstrap, topic)]
    return [one for one in found if isinstance(one, Envelope)]


async def _raw_log(bootstrap: str, topic: str) -> list[Record]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=8_000_000
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, part) for part in (0, 1)]  # the partitions of the fixture `topic`
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[TopicPartition, list[Record]] = {part: [] for part in partitions}
        async with asyncio.timeout(150):
            while any([await consumer.position(part) < ends[part] for part in partitions]):
                for part, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[part] += [Record(r.key, r.value, tuple(r.headers), r.timestamp * 1_000) for r in records]
        return [record for part in partitions for record in found[part]]
    finally:
        await consumer.stop()


def train(
    code: str, environment: Mapping[str, str], *, python: str = sys.executable, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a training script in a new interpreter with `environment` added to that of the tests; return its output."""
    env = {
        name: value for name, value in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    }
    env["GATEWAY_JOURNAL_DIR"] = os.environ["GATEWAY_JOURNAL_DIR"]  # that of the test
    return subprocess.run(
        [python, "-c", textwrap.dedent(code)],
        env={**env, **environment},
        cwd=folder or ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
