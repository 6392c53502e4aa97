"""
Write requests to the log through one idempotent Kafka producer, which is replaced whenever it fails.

Requests that arrive while others are being sent are grouped into the next send, so many small ones cost Kafka little.
Each sender has one request under way at a time, which keeps its order.

While Kafka is away, requests are refused at once, so that events wait where they are safe: in the journals of their
producers. A request that is not acknowledged in time is refused too, although its records may arrive: its sender sends
the same records again, and readers drop the duplicates.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gateway.client.address import OPTIONS
from gateway.client.encoding.wire import Record
from gateway.client.errors import Unsent
from gateway.client.transports.kafka_transport import KafkaTransport
from gateway.client.transports.transport import Refusal
from schemas.errors import LogUnavailable
from schemas.runtime.settings import Settings

ACKNOWLEDGE_TIMEOUT_S = 10.0
OPEN_TIMEOUT_S = 15.0
MAX_SENDS = 2  # at once: while one is under way, the next is grouped
GROUP_BYTES = 4 * 1024 * 1024
BACK_OFF_S = (0.1, 2.0)  # first and longest pause after a failure
REPORT_AFTER_S = 3.0  # of an outage; most starts of a stack take less

log = logging.getLogger("gateway.server")

Request = tuple[Sequence[Record], asyncio.Future[None]]  # records, and the future that their sender waits for


class RecordRefused(Exception):
    """Kafka will never accept a record of a request."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number  # in its request, from 0


def describe(error: Exception) -> str:
    """Return why the log cannot be reached, from an error of the transport or any other."""
    if isinstance(error, TimeoutError):
        return str(error) or f"no answer within {OPEN_TIMEOUT_S:.0f} s"
    return str(error) if isinstance(error, Unsent) else f"{type(error).__name__}: {error}"


def options_of(settings: Settings) -> dict[str, str]:
    """Return the Kafka options of the settings, in the form that the client's transport takes."""
    found = {name: getattr(settings, name) for name in OPTIONS if name.startswith("kafka_")}
    found["kafka_sasl_password"] = settings.kafka_sasl_password.get_secret_value()
    return {name: str(value) for name, value in found.items() if value}


class LogWriter:
    """Writes to the log. `run` keeps a producer connected; any number of requests may call `write` at once."""

    def __init__(self, settings: Settings) -> None:
        self._servers = settings.need("kafka").split(",")
        self._topic = settings.topic
        self._options = options_of(settings)
        self._kafka: KafkaTransport | None = None
        self._waiting: deque[Request] = deque()
        self._sends: set[asyncio.Task[None] | None] = set()
        self._broken: asyncio.Future[None] | None = None  # done when the current producer has failed
        self.problem = "it is not connected yet"  # "" while it serves
        self.written: dict[int, int] = {}  # by partition: the offset after the newest record that was acknowledged

    async def run(self) -> None:
        """Connect, and connect again after each failure, until cancelled."""
        pause, since, is_reported = BACK_OFF_S[0], asyncio.get_running_loop().time(), False
        known: set[str] = set()  # unexpected errors that are in the log with their stack
        while True:
            kafka = KafkaTransport(self._servers, self._topic, self._options)
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    await kafka.open()
                if is_reported:
                    log.info("%s is reached again", self._label)
                pause, is_reported = BACK_OFF_S[0], False
                await self._serve(kafka)
                since = asyncio.get_running_loop().time()
            except Exception as error:  # named at /readyz; without this task nothing is sent ever again
                self.problem = describe(error)
                if not isinstance(error, Unsent | TimeoutError) and self.problem not in known:
                    known.add(self.problem)
                    log.error("%s: unexpected %s: trying again", self._label, self.problem, exc_info=error)
                if not is_reported and asyncio.get_running_loop().time() - since > REPORT_AFTER_S:
                    is_reported = True
                    log.warning(
                        "%s cannot be reached (%s): waiting for it; clients keep their events",
                        self._label,
                        self.problem,
                    )
            finally:
                self._kafka = None
                with suppress(Exception):  # a producer that cannot even be closed is left to the collector
                    await kafka.close()
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACK_OFF_S[1])

    async def _serve(self, kafka: KafkaTransport) -> None:
        self._broken = broken = asyncio.get_running_loop().create_future()
        self._kafka, self.problem = kafka, ""
        await broken

    async def write(self, records: Sequence[Record]) -> None:
        """
        Return when every record is acknowledged, those of one key in order.

        Raises LogUnavailable, and RecordRefused when Kafka accepted all records but some that it will never accept.
        """
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((records, acknowledged))
        self._start_sends()
        await acknowledged

    def _start_sends(self) -> None:
        while self._waiting and len(self._sends) < MAX_SENDS:
            group: list[Request] = []
            size = 0
            while self._waiting and (not group or size < GROUP_BYTES):
                group.append(self._waiting.popleft())
                size += sum(map(len, group[-1][0]))
            task = asyncio.create_task(self._send_group(group))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)

    async def _send_group(self, group: list[Request]) -> None:
        failure: Exception | None = None
        refusals: Sequence[Refusal] = ()
        try:
            refusals = await self._send([record for records, _ in group for record in records])
        except Exception as error:  # noqa: BLE001 - each request gets it and is answered; its sender keeps the events
            failure = error
        begin = 0
        for records, acknowledged in group:
            end = begin + len(records)
            refusal = next((one for one in refusals if begin <= one.number < end), None)
            refused = RecordRefused(refusal.number - begin, refusal.reason) if refusal is not None else None
            begin = end
            if acknowledged.done():  # its sender has disconnected
                continue
            problem = failure or refused
            if problem is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(problem)
        self._sends.discard(asyncio.current_task())
        self._start_sends()

    async def _send(self, records: Sequence[Record]) -> Sequence[Refusal]:
        kafka, broken = self._kafka, self._broken
        if kafka is None or broken is None:
            raise LogUnavailable(f"{self._label} cannot be reached ({self.problem})")
        sending = asyncio.ensure_future(kafka.send(records))
        either: set[asyncio.Future[Any]] = {sending, broken}
        try:
            await asyncio.wait(either, timeout=ACKNOWLEDGE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                refusals = sending.result()
                for partition, end in kafka.written.items():
                    self.written[partition] = max(self.written.get(partition, 0), end)
                return refusals
            self._break(broken, f"no acknowledgement within {ACKNOWLEDGE_TIMEOUT_S:.0f} s")
        except Exception as error:  # noqa: BLE001 - whatever state it is in: the producer is replaced, nothing is lost
            self._break(broken, describe(error))
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending})
        raise LogUnavailable(f"{self._label} did not acknowledge ({self.problem})")

    def _break(self, broken: asyncio.Future[None], why: str) -> None:
        """Make `run` replace the producer. What it still holds is dropped, and its senders send it again."""
        if broken is self._broken and not broken.done():
            self.problem = why
            self._kafka = None
            broken.set_result(None)

    @property
    def _label(self) -> str:
        return f"Kafka at {','.join(self._servers)}"
