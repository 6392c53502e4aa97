"""
A producer that misbehaves on purpose: it sends envelopes twice, late and out of order, and records that are no events.

It writes to the log without the client, in its own thread, and counts what it sends. After an outage of Kafka a new
producer sends again what was not acknowledged, so an envelope may be in the log more than once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from threading import Event, Thread

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.wire import EncodedRecord, encode
from tests.support.log_author import Author
from tests.support.raw_log import has_bad_header_name, with_bad_header_name, write_raw

RUNS, PRODUCERS = 6, 2
SERIES = ("loss", "accuracy", "norm")
RETRY_S = 0.3
SEND_TIMEOUT_S, CLOSE_TIMEOUT_S = 8.0, 60.0


class BadAuthor:
    """Sends until `stop`, then sends what it held back."""

    def __init__(self, bootstrap: str, topic: str, seed: int, *, pause_s: float = 0.05) -> None:
        self.points: Counter[str] = Counter()  # by run; each point counts once
        self.sent: Counter[str] = Counter()  # records by kind; each send counts
        self._bootstrap, self._topic = bootstrap, topic
        self._pause_s = pause_s
        self._dice = random.Random(seed)
        self._authors = [Author(f"raw-{run}", f"p{number}") for run in range(RUNS) for number in range(PRODUCERS)]
        self._steps: Counter[tuple[str, str]] = Counter()
        self._history: list[EncodedRecord] = []
        self._held: list[EncodedRecord] = []
        self._stopping = Event()
        self._closing: list[asyncio.Task[None]] = []
        self._producer: AIOKafkaProducer | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="bad author")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return when everything is acknowledged."""
        self._stopping.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the author's records were not acknowledged"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._write())
        except BaseException as error:  # noqa: BLE001 - raised by stop() in the test's thread
            self._error = error

    async def _write(self) -> None:
        starts = [encode(author.start()) for author in self._authors]
        await self._send(starts)
        while not self._stopping.is_set():
            await self._send(self._next())
            await asyncio.sleep(self._pause_s)
        self._dice.shuffle(self._held)
        await self._send([*self._held, *(encode(author.finish()) for author in self._authors)])
        await self._close()

    def _next(self) -> list[EncodedRecord]:
        """Return a few records: new, repeated, late and broken ones."""
        found = []
        for _ in range(self._dice.randrange(1, 8)):
            record = self._metrics()
            self.sent["new"] += 1
            self._history.append(record)
            luck = self._dice.random()
            if luck < 0.05:
                self._held.append(record)
                continue
            found.append(record)
            if luck < 0.15:
                again = self._dice.choices(self._history[-50:], k=self._dice.randrange(1, 4))
                found += again
                self.sent["again"] += len(again)
            elif luck < 0.18:
                found.append(self._broken(record))
                self.sent["poison"] += 1
        if self._held and self._dice.random() < 0.1:
            found.append(self._held.pop(self._dice.randrange(len(self._held))))
            self.sent["late"] += 1
        return found

    def _metrics(self) -> EncodedRecord:
        author = self._dice.choice(self._authors)
        name = self._dice.choice(SERIES)
        count = self._dice.choice((1, 5, 40, 300))
        key = (author.run_id, name)
        values = [self._dice.gauss(0.0, 1.0) for _ in range(count)]
        envelope = author.metrics(name, values, first_step=self._steps[key])
        self._steps[key] += count
        self.points[author.run_id] += count
        return encode(envelope)

    def _broken(self, good: EncodedRecord) -> EncodedRecord:
        return self._dice.choice(
            [
                good._replace(value=b'{"kind": "metrics", "trunc'),
                good._replace(headers=[]),
                good._replace(headers=[(n, b"2" if n == "schema" else v) for n, v in good.headers]),
                good._replace(key=b"another run"),
                good._replace(value=b""),
                with_bad_header_name(good),
            ]
        )

    async def _send(self, records: list[EncodedRecord]) -> None:
        while True:
            try:
                if self._producer is None:
                    self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True)
                    await (
                        self._producer.start()
                    )  # ends by itself; if it were cancelled it would leave a connection open
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._send_all(self._producer, records)
                if odd := [record for record in records if has_bad_header_name(record)]:
                    await write_raw(self._bootstrap, self._topic, odd)  # ends by itself
                return
            except (KafkaError, OSError, TimeoutError):
                self.sent["sent again without an acknowledgement"] += len(records)
                self._give_up()
                await asyncio.sleep(RETRY_S)

    async def _send_all(self, producer: AIOKafkaProducer, records: list[EncodedRecord]) -> None:
        sent = [
            await producer.send(self._topic, key=r.key, value=r.value, headers=list(r.headers))
            for r in records
            if not has_bad_header_name(r)
        ]
        for future in sent:
            await future

    def _give_up(self) -> None:
        """Replace the producer. The old one closes when Kafka permits; what it still sends is in the log twice."""
        if self._producer is not None:
            self._closing.append(asyncio.create_task(self._producer.stop()))
            self._producer = None

    async def _close(self) -> None:
        self._give_up()
        await asyncio.wait_for(asyncio.gather(*self._closing, return_exceptions=True), CLOSE_TIMEOUT_S)
