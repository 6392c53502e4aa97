"""
Records, sent until Kafka has them: the same bytes again after each failure.

A call waits WAIT_S for its records and is then answered that they are not there yet; they are sent further, and the
client's next attempt waits for the same ones. What is sent again is bounded; beyond, a call is refused before its
events get numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, takewhile

from gateway.client.encoding.wire import Record
from gateway.server.log_writer import GROUP_BYTES, LogWriter, RecordRefused
from gateway.server.mlflow.errors import invalid, unavailable
from schemas.errors import LogUnavailable

WAIT_S = 60.0  # the client waits for an answer for 120 s
MAX_WAITING = 64 * 1024 * 1024  # bytes of records that are sent again
BACK_OFF_S = (0.1, 2.0)  # first and longest pause between two attempts

Settle = Callable[[str], None]  # gets why Kafka will never take the records, "" when it has them


class Sending:
    """Some records on their way."""

    __slots__ = ("reason", "records", "settle", "size", "substitute")

    def __init__(self, records: Iterable[Record], substitute: Callable[[Record], Record], settle: Settle) -> None:
        self.records = list(records)
        self.size = sum(map(len, self.records))  # bytes
        self.substitute, self.settle = substitute, settle
        self.reason = ""

    def replace(self, number: int, reason: str) -> None:
        """Replace a record that Kafka will never take by one that has its number."""
        self.reason = self.reason or reason or "Kafka refuses the record"
        self.records[number] = self.substitute(self.records[number])


class Outbox:
    """
    Sends records through the writer of the log.

    What waits to be sent again stands in one line for each run, and so does all that follows it: a tag or a status that
    is set after the log is reached again comes after the earlier one.
    """

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._lines: dict[bytes, list[tuple[Sending, asyncio.Future[str]]]] = {}  # by key of the records
        self._repeating: set[asyncio.Task[None]] = set()
        self._waiting = 0  # bytes

    def check(self) -> None:
        """Raise Refused TEMPORARILY_UNAVAILABLE while there is no room for a call that may have to be repeated."""
        if self._waiting > MAX_WAITING:
            raise unavailable("too many calls wait for the log: nothing more is taken until it is reached again")

    async def send(self, sending: Sending) -> None:
        """
        Return when Kafka has the records, which are of one run.

        Raises Refused: INVALID_PARAMETER_VALUE for what Kafka will never take, TEMPORARILY_UNAVAILABLE after WAIT_S;
        the records are then sent further. `settle` of the sending is called once, at the end of it.
        """
        if not sending.records:
            sending.settle("")
            return
        if sending.records[0].key not in self._lines:
            try:
                await self._writer.write(sending.records)
            except RecordRefused as error:
                sending.replace(error.number, str(error))
            except LogUnavailable:
                pass
            except asyncio.CancelledError:  # the door stops; the records have their numbers
                self.send_later(sending)
                raise
            else:
                sending.settle("")
                return
        await wait(self.send_later(sending))

    def send_later(self, sending: Sending) -> asyncio.Future[str]:
        """Send the records until Kafka has them; the future gets why it refused some of them."""
        key = sending.records[0].key
        sent: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting += sending.size
        if key in self._lines:
            self._lines[key].append((sending, sent))
        else:
            self._lines[key] = [(sending, sent)]
            task = asyncio.create_task(self._repeat(key))
            self._repeating.add(task)
            task.add_done_callback(lambda done: self._end(key, done))
        return sent

    async def close(self, timeout_s: float) -> None:
        """Wait for what is sent again, and drop what Kafka does not have after `timeout_s`."""
        if self._repeating:
            await asyncio.wait(self._repeating, timeout=timeout_s)
        for task in list(self._repeating):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.sleep(0)  # for the callbacks of the tasks

    async def _repeat(self, key: bytes) -> None:
        """Send what stands in a line, in its order, until the line is empty."""
        line, pause = self._lines[key], BACK_OFF_S[0]
        while line:
            count = _first_of(line)
            try:
                await self._writer.write([record for one, _ in line[:count] for record in one.records])
            except RecordRefused as error:
                _replace(line, error)
            except LogUnavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACK_OFF_S[1])
            else:
                pause = BACK_OFF_S[0]
                for sending, sent in line[:count]:
                    self._waiting -= sending.size
                    sending.settle(sending.reason)
                    if not sent.done():
                        sent.set_result(sending.reason)
                del line[:count]
        del self._lines[key]

    def _end(self, key: bytes, task: asyncio.Task[None]) -> None:
        self._repeating.discard(task)
        if task.cancelled() or task.exception() is not None:
            for sending, sent in self._lines.pop(key):
                self._waiting -= sending.size
                sent.cancel()


def _first_of(line: Sequence[tuple[Sending, object]]) -> int:
    """Return how many of a line are sent together: at least one."""
    sizes = accumulate(sending.size for sending, _ in line)
    return max(sum(1 for _ in takewhile(lambda size: size <= GROUP_BYTES, sizes)), 1)


def _replace(line: Iterable[tuple[Sending, object]], error: RecordRefused) -> None:
    """Replace the record that Kafka refused, by its number among the records of a line."""
    number = error.number
    for sending, _ in line:
        if number < len(sending.records):
            sending.replace(number, str(error))
            return
        number -= len(sending.records)


async def wait(sending: asyncio.Future[str]) -> None:
    """Return when records that are being sent are in the log. Raises what `Outbox.send` raises."""
    done, _ = await asyncio.wait({sending}, timeout=WAIT_S)
    if not done:
        raise unavailable(f"the log did not acknowledge within {WAIT_S:.0f} s: the door sends further")
    if reason := sending.result():
        raise invalid(reason)
