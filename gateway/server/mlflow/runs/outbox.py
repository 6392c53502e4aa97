"""
Records, sent until Kafka has them: the same bytes again after each failure.

A call waits WAIT_S for its records and is then answered that they are not there yet; they are sent further, and the
client's next attempt waits for the same ones. What is sent again is bounded; beyond, a call is refused before its
events get numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from gateway.client.encoding.wire import Record
from gateway.server.log_writer import LogWriter, RecordRefused
from gateway.server.mlflow.errors import invalid, unavailable
from schemas.errors import LogUnavailable

WAIT_S = 60.0  # the client waits for an answer for 120 s
MAX_WAITING = 64 * 1024 * 1024  # bytes of records that are sent again
BACK_OFF_S = (0.1, 2.0)  # first and longest pause between two attempts

Settle = Callable[[str], None]  # gets why Kafka will never take the records, "" when it has them


class Sending:
    """Some records on their way."""

    __slots__ = ("reason", "records", "settle", "substitute")

    def __init__(self, records: Iterable[Record], substitute: Callable[[Record], Record], settle: Settle) -> None:
        self.records = list(records)
        self.substitute, self.settle = substitute, settle
        self.reason = ""

    def replace(self, error: RecordRefused) -> None:
        """Replace a record that Kafka will never take by one that has its number."""
        self.reason = self.reason or str(error) or "Kafka refuses the record"
        self.records[error.number] = self.substitute(self.records[error.number])


class Outbox:
    """Sends records through the writer of the log."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._repeating: set[asyncio.Task[str]] = set()
        self._waiting = 0  # bytes

    def check(self) -> None:
        """Raise Refused TEMPORARILY_UNAVAILABLE while there is no room for a call that may have to be repeated."""
        if self._waiting > MAX_WAITING:
            raise unavailable("too many calls wait for the log: nothing more is taken until it is reached again")

    async def send(self, sending: Sending) -> None:
        """
        Return when Kafka has the records.

        Raises Refused: INVALID_PARAMETER_VALUE for what Kafka will never take, TEMPORARILY_UNAVAILABLE after WAIT_S;
        the records are then sent further. `settle` of the sending is called once, at the end of it.
        """
        if not sending.records:
            sending.settle("")
            return
        try:
            await self._writer.write(sending.records)
        except RecordRefused as error:
            sending.replace(error)
        except LogUnavailable:
            pass
        except asyncio.CancelledError:  # the door stops; the records have their numbers
            self.send_later(sending)
            raise
        else:
            sending.settle("")
            return
        await wait(self.send_later(sending))

    def send_later(self, sending: Sending) -> asyncio.Task[str]:
        """Return a task that sends the records until Kafka has them, and returns why it refused some of them."""
        size = sum(map(len, sending.records))
        self._waiting += size
        task = asyncio.create_task(self._repeat(sending))
        self._repeating.add(task)

        def forget(done: asyncio.Task[str]) -> None:
            self._repeating.discard(done)
            self._waiting -= size
            if not done.cancelled():
                sending.settle(done.result())

        task.add_done_callback(forget)
        return task

    async def close(self, timeout_s: float) -> None:
        """Wait for what is sent again, and drop what Kafka does not have after `timeout_s`."""
        if self._repeating:
            await asyncio.wait(self._repeating, timeout=timeout_s)
        for task in list(self._repeating):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _repeat(self, sending: Sending) -> str:
        pause = BACK_OFF_S[0]
        while True:
            try:
                await self._writer.write(sending.records)
            except RecordRefused as error:
                sending.replace(error)
            except LogUnavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACK_OFF_S[1])
            else:
                return sending.reason


async def wait(sending: asyncio.Future[str]) -> None:
    """Return when records that are being sent are in the log. Raises what `Outbox.send` raises."""
    done, _ = await asyncio.wait({sending}, timeout=WAIT_S)
    if not done:
        raise unavailable(f"the log did not acknowledge within {WAIT_S:.0f} s: the door sends further")
    if reason := sending.result():
        raise invalid(reason)
