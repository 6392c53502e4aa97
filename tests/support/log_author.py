"""Write events to a real log without the client, so that the test sets every byte, number and time."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from schemas import events as ev
from schemas.wire import EncodedRecord, Envelope, ProducerId, RegistryEnvelope, RunId, encode

START = 1_700_000_000_000_000  # µs: 2023-11-14, long before the clock of any test


class Author:
    """A producer of one run; it numbers its envelopes."""

    def __init__(self, run_id: str, producer: str = "p1", *, time: int = START) -> None:
        self.run_id = run_id
        self.producer = producer
        self.seq = 0
        self.time = time

    def envelope(self, event: ev.AnyEvent) -> Envelope:
        envelope = Envelope(RunId(self.run_id), ProducerId(self.producer), self.seq, event.time, event)
        self.seq += 1
        return envelope

    def now(self) -> int:
        """Return a new time, 1,500 µs after the last one."""
        self.time += 1_500
        return self.time

    def start(self, **fields: object) -> Envelope:
        return self.envelope(ev.RunStarted(time=self.now(), **fields))

    def finish(self) -> Envelope:
        return self.envelope(ev.RunFinished(time=self.now()))

    def metrics(self, name: str, values: Sequence[float], *, first_step: int = 0, **fields: object) -> Envelope:
        """Return an envelope of one series, with a new time for each point."""
        count = len(values)
        series = ev.Series(
            name=name,
            steps=array("q", range(first_step, first_step + count)),
            times=array("q", [self.now() for _ in values]),
            values=array("d", values),
        )
        return self.envelope(ev.Metrics(time=self.time, series=[series], **fields))


@asynccontextmanager
async def producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """Yield an idempotent Kafka producer."""
    made = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def write_records(bootstrap: str, topic: str, records: Iterable[EncodedRecord]) -> None:
    """Write records and return when Kafka has acknowledged all of them."""
    async with producer(bootstrap) as sender:
        sent = [await sender.send(topic, key=r.key, value=r.value, headers=list(r.headers)) for r in records]
        for future in sent:
            await future


async def write(bootstrap: str, topic: str, envelopes: Iterable[Envelope | RegistryEnvelope]) -> None:
    """Write envelopes as the client would; return when Kafka has acknowledged all of them."""
    await write_records(bootstrap, topic, map(encode, envelopes))
